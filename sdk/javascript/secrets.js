// Secrets as handles: `import { secret } from "../oxide-sdk/secrets.js"`.
//
// The world needs `import oxide:ci/secrets@0.1.0;`, and the step `grants: { secrets: [NAME] }`.

import { names, open } from "oxide:ci/secrets@0.1.0";
import { host } from "./host.js";

/** A secret that the step was granted: spent as a placeholder, read only where the pipeline grants `reveal`. */
export class Secret {
  #handle;

  /** @param {any} handle The resource of the contract. */
  constructor(handle) {
    this.#handle = handle;
    /** @type {string} The name of the secret. */
    this.name = handle.name();
    /**
     * A text that stands for the value in variables and standard inputs of commands and in requests to granted hosts. It
     * may be part of a longer text.
     * @type {string}
     */
    this.placeholder = handle.placeholder();
  }

  /**
   * The value itself. A `HostError` with the code `denied` unless the pipeline grants `reveal`.
   * @returns {string}
   */
  reveal() {
    return host(() => this.#handle.reveal());
  }
}

/**
 * Opens a secret by name.
 * @param {string} name
 * @returns {Secret}
 */
export function secret(name) {
  return new Secret(host(() => open(name)));
}

/**
 * The names of the secrets that the step was granted, sorted.
 * @returns {string[]}
 */
export function secretNames() {
  return names();
}
