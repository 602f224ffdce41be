/**
 * Fails the step with a sentence for the person who reads the log.
 * @param {string} text
 * @returns {never}
 */
export function fail(text: string): never;
/**
 * Fails the step because an input is unusable. The text says which one, why, and what to write instead.
 * @param {string} text
 * @returns {never}
 */
export function invalidInput(text: string): never;
/**
 * Fails the step because a command ended with this exit code.
 * @param {number} code
 * @returns {never}
 */
export function exitCode(code: number): never;
/**
 * A failure in the plugin's own words. Thrown out of `run`, it ends the step; `fail`, `invalidInput` and `exitCode` throw it.
 */
export class StepFailure extends Error {
    /**
     * @param {"exit-code" | "invalid-input" | "other"} tag
     * @param {string | number} val
     */
    constructor(tag: "exit-code" | "invalid-input" | "other", val: string | number);
    /** What the host gets: the variant `failure` of the contract. */
    payload: {
        tag: "other" | "exit-code" | "invalid-input";
        val: string | number;
    };
}
/** A call of the host that did not succeed. Uncaught, it fails the step with its message. */
export class HostError extends Error {
    /**
     * @param {"not-found" | "denied" | "invalid" | "limit" | "other"} code
     * @param {string} message
     */
    constructor(code: "not-found" | "denied" | "invalid" | "limit" | "other", message: string);
    /**
     * Which case of the variant `error` of the contract it is.
     * @type {"not-found" | "denied" | "invalid" | "limit" | "other"}
     */
    code: "not-found" | "denied" | "invalid" | "limit" | "other";
}
