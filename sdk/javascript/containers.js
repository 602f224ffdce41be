// Container images: `import * as containers from "../oxide-sdk/containers.js"`. The engine of the agent does the work.
//
// The world needs `import oxide:ci/containers@0.1.0;`, and the step `grants: { containers: true }`.

import { open } from "oxide:ci/containers@0.1.0";
import { host } from "./host.js";

/**
 * @typedef {object} BuildOptions
 * @property {string} [context] The directory of the workspace that is the build context. Default: its top.
 * @property {string} [dockerfile] The Dockerfile, relative to the context. Default: `Dockerfile`.
 * @property {string} [target] The stage of the Dockerfile to build. Default: the last one.
 * @property {Record<string, string>} [buildArgs] Names and values for `ARG`.
 * @property {Record<string, string>} [labels] Labels of the image.
 * @property {string[]} [tags] Names with tags that the image gets, such as `registry.example/app:1.2`.
 * @property {boolean} [noCache] Do not use layers of earlier builds.
 */

/** An image that the engine has. */
export class Image {
  #handle;

  /** @param {any} handle The resource of the contract. */
  constructor(handle) {
    this.#handle = handle;
    /** @type {string} SHA-256 of its configuration, as `sha256:` and 64 hexadecimal digits. */
    this.id = handle.id();
  }

  /**
   * Gives it another name.
   * @param {string} reference
   */
  tag(reference) {
    host(() => this.#handle.tag(reference));
  }

  /**
   * Gives it this name and pushes it to the registry that the name begins with.
   * @param {string} reference
   * @param {{ username: string, password: string }} [credentials] Placeholders of secrets become their values.
   * @returns {string} The digest of the manifest in the registry.
   */
  push(reference, credentials) {
    return host(() => this.#handle.push(reference, credentials));
  }
}

let engine;

function here() {
  engine ??= host(open);
  return engine;
}

/**
 * Builds an image. What the build prints goes to the log of the step.
 * @param {BuildOptions} [options]
 * @returns {Image}
 */
export function build(options = {}) {
  const { context = ".", dockerfile, target, buildArgs = {}, labels = {}, tags = [], noCache = false } = options;
  const pairs = { buildArgs: Object.entries(buildArgs), labels: Object.entries(labels) };
  return new Image(host(() => here().build({ context, dockerfile, target, ...pairs, tags, noCache })));
}

/**
 * An image that the engine has, by name or id.
 * @param {string} reference
 * @returns {Image}
 */
export function image(reference) {
  return new Image(host(() => here().image(reference)));
}
