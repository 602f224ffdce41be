// The log of the step: `import * as log from "../oxide-sdk/log.js"`. Every plugin has it.

import { endGroup, progress as hostProgress, startGroup, write } from "oxide:ci/log@0.1.0";
import { wide } from "./host.js";

/**
 * Writes what only helps who looks for a fault.
 * @param {string} text
 */
export function debug(text) {
  write("debug", String(text).toWellFormed());
}

/**
 * Writes a line of the ordinary course of things. Line breaks make several lines.
 * @param {string} text
 */
export function info(text) {
  write("info", String(text).toWellFormed());
}

/**
 * Writes what a person should see.
 * @param {string} text
 */
export function warning(text) {
  write("warning", String(text).toWellFormed());
}

/**
 * Writes that something went wrong. The step goes on; `fail` ends it.
 * @param {string} text
 */
export function error(text) {
  write("error", String(text).toWellFormed());
}

/**
 * Does something whose lines fold under a title.
 * @template T
 * @param {string} title
 * @param {() => T} body
 * @returns {T} What the body returns.
 */
export function group(title, body) {
  startGroup(String(title).toWellFormed());
  let result;
  try {
    result = body();
  } catch (thrown) {
    endGroup();
    throw thrown;
  }
  if (result instanceof Promise) return /** @type {T} */ (result.finally(endGroup));
  endGroup();
  return result;
}

/**
 * Tells how far the step is, in whatever unit it counts. A total of zero means unknown.
 * @param {number} done
 * @param {number} total
 */
export function progress(done, total) {
  hostProgress(wide(done), wide(total));
}
