/**
 * The UTF-8 of a text. Half a surrogate pair becomes U+FFFD.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function encode(text: string): Uint8Array;
/**
 * The text of UTF-8. What is no UTF-8 becomes U+FFFD; a byte order mark stays.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function decode(bytes: Uint8Array): string;
/**
 * All bytes of some pieces. For the other files of the SDK.
 * @param {Uint8Array[]} pieces
 * @param {number} length How many bytes they have together.
 * @returns {Uint8Array}
 */
export function joined(pieces: Uint8Array[], length: number): Uint8Array;
