// Files that outlive their job: `import * as artifacts from "../oxide-sdk/artifacts.js"`.
//
// The world needs `import oxide:ci/artifacts@0.1.0;`, and the step `grants: { artifacts: write }`.

import { open } from "oxide:ci/artifacts@0.1.0";
import { host } from "./host.js";

/**
 * @typedef {object} Artifact
 * @property {string} name Its name, unique within the run.
 * @property {number} files How many files it holds.
 * @property {number} size The size of the files in bytes.
 * @property {string} digest SHA-256 of what is stored, as `sha256:` and 64 hexadecimal digits.
 * @property {Date} expiresAt When it expires.
 */

let store;

function here() {
  store ??= host(open);
  return store;
}

/**
 * Keeps files of the workspace under a name.
 * @param {string} name
 * @param {string[]} paths Paths and globs relative to the workspace; `!` before one leaves out what it means.
 * @param {{ retentionDays?: number }} [options]
 * @returns {Artifact}
 */
export function upload(name, paths, { retentionDays } = {}) {
  return artifact(host(() => here().upload(name, paths, retentionDays)));
}

/**
 * Puts the files of an artifact of this run below a directory of the workspace.
 * @param {string} name
 * @param {string} [directory] Default: the top of the workspace.
 * @returns {Artifact}
 */
export function download(name, directory = ".") {
  return artifact(host(() => here().download(name, directory)));
}

/**
 * The artifacts that the run has so far, sorted by name.
 * @returns {Artifact[]}
 */
export function list() {
  return host(() => here().list()).map(artifact);
}

function artifact({ name, files, size, digest, expiresAt }) {
  return { name, files: Number(files), size: Number(size), digest, expiresAt: new Date(Number(expiresAt) * 1000) };
}
