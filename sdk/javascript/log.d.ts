/**
 * Writes what only helps who looks for a fault.
 * @param {string} text
 */
export function debug(text: string): void;
/**
 * Writes a line of the ordinary course of things. Line breaks make several lines.
 * @param {string} text
 */
export function info(text: string): void;
/**
 * Writes what a person should see.
 * @param {string} text
 */
export function warning(text: string): void;
/**
 * Writes that something went wrong. The step goes on; `fail` ends it.
 * @param {string} text
 */
export function error(text: string): void;
/**
 * Does something whose lines fold under a title.
 * @template T
 * @param {string} title
 * @param {() => T} body
 * @returns {T} What the body returns.
 */
export function group<T>(title: string, body: () => T): T;
/**
 * Tells how far the step is, in whatever unit it counts. A total of zero means unknown.
 * @param {number} done
 * @param {number} total
 */
export function progress(done: number, total: number): void;
