// Files that a later run can use again: `import * as cache from "../oxide-sdk/cache.js"`.
//
// The world needs `import oxide:ci/cache@0.1.0;`, and the step `grants: { cache: write }`.

import { open } from "oxide:ci/cache@0.1.0";
import { host } from "./host.js";

/**
 * @typedef {object} CacheEntry
 * @property {string} key The key that it was saved under.
 * @property {number} files How many files it holds.
 * @property {number} size The size of the files in bytes.
 * @property {number} stored The bytes that it takes in the store.
 * @property {Date} savedAt When it was saved.
 */

let store;

function here() {
  store ??= host(open);
  return store;
}

/**
 * Puts the files of an entry back to where they were in the workspace.
 * @param {string} key
 * @param {string[]} [fallbackKeys] The newest entry whose key begins with the first of these for which there is one.
 * @returns {CacheEntry | undefined} The entry, if one fits.
 */
export function restore(key, fallbackKeys = []) {
  const found = host(() => here().restore(key, fallbackKeys));
  return found ? entry(found) : undefined;
}

/**
 * Saves files and directories of the workspace under a key. Entries are never changed.
 * @param {string} key
 * @param {string[]} paths Paths and globs relative to the workspace; `!` before one leaves out what it means.
 * @returns {CacheEntry & { isNew: boolean }} The new entry, or the one that was there before.
 */
export function save(key, paths) {
  const { tag, val } = host(() => here().save(key, paths));
  return { ...entry(val), isNew: tag === "stored" };
}

function entry({ key, files, size, stored, savedAt }) {
  return {
    key,
    files: Number(files),
    size: Number(size),
    stored: Number(stored),
    savedAt: new Date(Number(savedAt) * 1000),
  };
}
