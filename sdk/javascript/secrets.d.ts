/**
 * Opens a secret by name.
 * @param {string} name
 * @returns {Secret}
 */
export function secret(name: string): Secret;
/**
 * The names of the secrets that the step was granted, sorted.
 * @returns {string[]}
 */
export function secretNames(): string[];
/** A secret that the step was granted: spent as a placeholder, read only where the pipeline grants `reveal`. */
export class Secret {
    /** @param {any} handle The resource of the contract. */
    constructor(handle: any);
    /** @type {string} The name of the secret. */
    name: string;
    /**
     * A text that stands for the value in variables and standard inputs of commands and in requests to granted hosts. It
     * may be part of a longer text.
     * @type {string}
     */
    placeholder: string;
    /**
     * The value itself. A `HostError` with the code `denied` unless the pipeline grants `reveal`.
     * @returns {string}
     */
    reveal(): string;
    #private;
}
