// How a step fails, and how calls of the host fail. Imports nothing.

/**
 * A failure in the plugin's own words. Thrown out of `run`, it ends the step; `fail`, `invalidInput` and `exitCode` throw it.
 */
export class StepFailure extends Error {
  /**
   * @param {"exit-code" | "invalid-input" | "other"} tag
   * @param {string | number} val
   */
  constructor(tag, val) {
    super(tag === "exit-code" ? `a command ended with exit code ${val}` : String(val));
    this.name = "StepFailure";
    /** What the host gets: the variant `failure` of the contract. */
    this.payload = { tag, val };
  }
}

/** A call of the host that did not succeed. Uncaught, it fails the step with its message. */
export class HostError extends Error {
  /**
   * @param {"not-found" | "denied" | "invalid" | "limit" | "other"} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "HostError";
    /**
     * Which case of the variant `error` of the contract it is.
     * @type {"not-found" | "denied" | "invalid" | "limit" | "other"}
     */
    this.code = code;
  }
}

/**
 * Fails the step with a sentence for the person who reads the log.
 * @param {string} text
 * @returns {never}
 */
export function fail(text) {
  throw new StepFailure("other", text);
}

/**
 * Fails the step because an input is unusable. The text says which one, why, and what to write instead.
 * @param {string} text
 * @returns {never}
 */
export function invalidInput(text) {
  throw new StepFailure("invalid-input", text);
}

/**
 * Fails the step because a command ended with this exit code.
 * @param {number} code
 * @returns {never}
 */
export function exitCode(code) {
  throw new StepFailure("exit-code", code);
}
