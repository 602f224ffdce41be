// The files of the job: `import * as workspace from "../oxide-sdk/workspace.js"`.
//
// The world needs `import oxide:ci/workspace@0.1.0;`, and the step `grants: { workspace: read }` or `write`.

import { root } from "oxide:ci/workspace@0.1.0";
import { HostError } from "./failure.js";
import { host, release, wide } from "./host.js";
import { decode, encode, joined } from "./text.js";

/**
 * @typedef {object} Entry
 * @property {string} path The path, relative to the directory that was asked.
 * @property {"file" | "directory" | "symbolic-link" | "other"} kind What it is.
 * @property {number} size The size in bytes; zero for what is not a file.
 * @property {boolean} executable May it be executed by its owner?
 */

/** So many bytes go to the host, or come from it, in one call; more than 16 MiB it refuses. */
const CALL_BYTES = 8 << 20;

/** A directory of the workspace and everything below it. No path leads out of it. */
export class Directory {
  #handle;

  /** @param {any} handle The resource of the contract. */
  constructor(handle) {
    this.#handle = handle;
  }

  /**
   * Reads a whole file as text. What is no UTF-8 in it becomes U+FFFD.
   * @param {string} path
   * @returns {string}
   */
  read(path) {
    return decode(this.readBytes(path));
  }

  /**
   * Reads a whole file.
   * @param {string} path
   * @returns {Uint8Array}
   */
  readBytes(path) {
    try {
      return bytes(host(() => this.#handle.read(path)));
    } catch (error) {
      if (error instanceof HostError && error.code === "limit") return this.#readInParts(path);
      throw error;
    }
  }

  #readInParts(path) {
    const parts = [];
    let length = 0;
    for (;;) {
      const part = this.readRange(path, length, CALL_BYTES);
      parts.push(part);
      length += part.length;
      if (part.length < CALL_BYTES) return joined(parts, length);
    }
  }

  /**
   * Reads at most `length` bytes from byte `offset` on. Fewer bytes than asked for mean the end of the file.
   * @param {string} path
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array}
   */
  readRange(path, offset, length) {
    return bytes(host(() => this.#handle.readRange(path, wide(offset), length)));
  }

  /**
   * Writes a whole file, in the place of what was there, and makes the directories above it.
   * @param {string} path
   * @param {string | Uint8Array} contents
   */
  write(path, contents) {
    const all = toBytes(contents);
    host(() => this.#handle.write(path, all.subarray(0, CALL_BYTES)));
    this.#append(path, all, CALL_BYTES);
  }

  /**
   * Appends to a file, which is made if it is not there.
   * @param {string} path
   * @param {string | Uint8Array} contents
   */
  append(path, contents) {
    const all = toBytes(contents);
    host(() => this.#handle.append(path, all.subarray(0, CALL_BYTES)));
    this.#append(path, all, CALL_BYTES);
  }

  #append(path, all, from) {
    for (let place = from; place < all.length; place += CALL_BYTES) {
      host(() => this.#handle.append(path, all.subarray(place, place + CALL_BYTES)));
    }
  }

  /**
   * Makes a directory and those above it. Nothing happens if it is there.
   * @param {string} path
   */
  createDirectory(path) {
    host(() => this.#handle.createDirectory(path));
  }

  /**
   * Lists one directory, sorted by name.
   * @param {string} [path]
   * @returns {Entry[]}
   */
  list(path = ".") {
    return host(() => this.#handle.list(path)).map(entry);
  }

  /**
   * Finds the files that match a glob (`**` crosses directories), sorted by path.
   * @param {string} pattern
   * @returns {Entry[]}
   */
  glob(pattern) {
    return host(() => this.#handle.glob(pattern)).map(entry);
  }

  /**
   * Tells what a path leads to, without following a link at its end.
   * @param {string} path
   * @returns {Entry}
   */
  stat(path) {
    return entry(host(() => this.#handle.stat(path)));
  }

  /**
   * Does this path lead to anything?
   * @param {string} path
   * @returns {boolean}
   */
  exists(path) {
    try {
      this.stat(path);
      return true;
    } catch (error) {
      if (error instanceof HostError && error.code === "not-found") return false;
      throw error;
    }
  }

  /**
   * Removes a file, a link, or a directory with everything below it.
   * @param {string} path
   */
  remove(path) {
    host(() => this.#handle.remove(path));
  }

  /**
   * Opens a directory below this one with the rights of this one.
   * @param {string} path
   * @returns {Directory}
   */
  open(path) {
    return new Directory(host(() => this.#handle.open(path)));
  }

  /** Gives the directory back. A step may hold some thousand handles; the engine gives them back late or never. */
  close() {
    release(this.#handle);
  }

  /**
   * Opens a directory below this one, which may not be written through the answer.
   * @param {string} path
   * @returns {Directory}
   */
  openReadOnly(path) {
    return new Directory(host(() => this.#handle.openReadOnly(path)));
  }
}

/** @type {Directory | undefined} */
let top;

/**
 * The top of the workspace. The functions below are its methods.
 * @returns {Directory}
 */
export function workspaceRoot() {
  top ??= new Directory(host(root));
  return top;
}

/** @type {Directory["read"]} */
export const read = (path) => workspaceRoot().read(path);
/** @type {Directory["readBytes"]} */
export const readBytes = (path) => workspaceRoot().readBytes(path);
/** @type {Directory["readRange"]} */
export const readRange = (path, offset, length) => workspaceRoot().readRange(path, offset, length);
/** @type {Directory["write"]} */
export const write = (path, contents) => workspaceRoot().write(path, contents);
/** @type {Directory["append"]} */
export const append = (path, contents) => workspaceRoot().append(path, contents);
/** @type {Directory["createDirectory"]} */
export const createDirectory = (path) => workspaceRoot().createDirectory(path);
/** @type {Directory["list"]} */
export const list = (path) => workspaceRoot().list(path);
/** @type {Directory["glob"]} */
export const glob = (pattern) => workspaceRoot().glob(pattern);
/** @type {Directory["stat"]} */
export const stat = (path) => workspaceRoot().stat(path);
/** @type {Directory["exists"]} */
export const exists = (path) => workspaceRoot().exists(path);
/** @type {Directory["remove"]} */
export const remove = (path) => workspaceRoot().remove(path);
/** @type {Directory["open"]} */
export const open = (path) => workspaceRoot().open(path);
/** @type {Directory["openReadOnly"]} */
export const openReadOnly = (path) => workspaceRoot().openReadOnly(path);

function toBytes(contents) {
  return typeof contents === "string" ? encode(contents) : contents;
}

function bytes(list) {
  return list instanceof Uint8Array ? list : Uint8Array.from(list);
}

function entry({ path, kind, size, executable }) {
  return { path, kind, size: Number(size), executable };
}
