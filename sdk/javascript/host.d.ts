/**
 * Calls the host. An error that it answers with is thrown as a `HostError`.
 * @template T
 * @param {() => T} call
 * @returns {T}
 */
export function host<T>(call: () => T): T;
/**
 * Gives a handle back that is not used any more. A call may hold 4,096 of them.
 * @param {any} handle
 */
export function release(handle: any): void;
/**
 * A number as the host takes it for 64 bits.
 * @param {number} value
 * @returns {any}
 */
export function wide(value: number): any;
/** Which of the two engines runs this? */
export const isQuickJs: boolean;
