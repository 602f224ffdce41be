// How the other files of the SDK call the host, in QuickJS as in StarlingMonkey. Not for plugins.

import { HostError } from "./failure.js";

/** Which of the two engines runs this? */
export const isQuickJs = "__cqjs" in globalThis;

/**
 * Calls the host. An error that it answers with is thrown as a `HostError`.
 * @template T
 * @param {() => T} call
 * @returns {T}
 */
export function host(call) {
  try {
    return call();
  } catch (thrown) {
    const answer = thrown?.payload;
    if (typeof answer?.tag === "string" && typeof answer.val === "string") throw new HostError(answer.tag, answer.val);
    throw thrown;
  }
}

/**
 * Gives a handle back that is not used any more. A call may hold 4,096 of them.
 * @param {any} handle
 */
export function release(handle) {
  handle[Symbol.dispose]?.();
}

/**
 * A number as the host takes it for 64 bits.
 * @param {number} value
 * @returns {any}
 */
export function wide(value) {
  return isQuickJs ? value : BigInt(value);
}
