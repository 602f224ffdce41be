// Text to UTF-8 and back. Imports nothing.
//
// QuickJS has neither TextEncoder nor TextDecoder, and a loop over the bytes of a text costs it 3,000 units of fuel for each.
// What its own functions can do costs about 250, hence the way by Base64 and by the escapes of URLs.

/** So many bytes are decoded at a time. A piece of ASCII is decoded at a quarter of the price of others. */
const CHUNK_BYTES = 512;

/**
 * The UTF-8 of a text. Half a surrogate pair becomes U+FFFD.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function encode(text) {
  if (typeof TextEncoder !== "undefined") return new TextEncoder().encode(text);
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))));
}

/**
 * The text of UTF-8. What is no UTF-8 becomes U+FFFD; a byte order mark stays.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function decode(bytes) {
  if (typeof TextDecoder !== "undefined") return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const parts = [];
  for (let start = 0; start < bytes.length; ) {
    const end = characterStart(bytes, start, start + CHUNK_BYTES);
    parts.push(decodeChunk(bytes.subarray(start, end)));
    start = end;
  }
  return parts.join("");
}

/**
 * All bytes of some pieces. For the other files of the SDK.
 * @param {Uint8Array[]} pieces
 * @param {number} length How many bytes they have together.
 * @returns {Uint8Array}
 */
export function joined(pieces, length) {
  const all = new Uint8Array(length);
  let place = 0;
  for (const piece of pieces) {
    all.set(piece, place);
    place += piece.length;
  }
  return all;
}

/** The last place up to `end` where no character is cut in two. */
function characterStart(bytes, start, end) {
  if (end >= bytes.length) return bytes.length;
  for (let place = end; place > start && place > end - 4; place -= 1) {
    if ((bytes[place] & 0xc0) !== 0x80) return place;
  }
  return end;
}

function decodeChunk(bytes) {
  const latin1 = atob(bytes.toBase64());
  return isAscii(bytes) ? latin1 : latin1.replace(/[\x80-\xff]+/g, decodeRun);
}

/** Most texts have few characters beyond ASCII, and those often. */
const known = new Map();
const KNOWN_MAX = 1000;

/** Decodes bytes beyond ASCII, which stand between ASCII or a border. */
function decodeRun(run) {
  let text = known.get(run);
  if (text === undefined) {
    try {
      text = decodeURIComponent(escape(run));
    } catch {
      text = decodeBroken(run);
    }
    if (known.size < KNOWN_MAX) known.set(run, text);
  }
  return text;
}

/** Looks at 64 bytes at a time. */
function isAscii(bytes) {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const w = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
  let all = 0;
  let i = 0;
  for (; i + 16 <= w.length; i += 16) {
    all |= w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7];
    all |= w[i + 8] | w[i + 9] | w[i + 10] | w[i + 11] | w[i + 12] | w[i + 13] | w[i + 14] | w[i + 15];
  }
  for (i *= 4; i < bytes.length; i += 1) all |= bytes[i];
  return (all & (0x80808080 | 0)) === 0;
}

/** Decodes byte by byte, as the Encoding Standard says it for what is no UTF-8. */
function decodeBroken(run) {
  let text = "";
  let [point, missing, lowest, highest] = [0, 0, 0x80, 0xbf];
  for (let index = 0; index < run.length; index += 1) {
    const byte = run.charCodeAt(index);
    if (missing > 0) {
      const fits = byte >= lowest && byte <= highest;
      [lowest, highest] = [0x80, 0xbf];
      if (fits) {
        point = (point << 6) | (byte & 0x3f);
        missing -= 1;
        if (missing === 0) text += String.fromCodePoint(point);
      } else {
        missing = 0;
        text += "\ufffd";
        index -= 1;
      }
    } else if (byte >= 0xc2 && byte <= 0xdf) {
      [point, missing] = [byte & 0x1f, 1];
    } else if (byte >= 0xe0 && byte <= 0xef) {
      [point, missing] = [byte & 0x0f, 2];
      if (byte === 0xe0) lowest = 0xa0;
      if (byte === 0xed) highest = 0x9f;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      [point, missing] = [byte & 0x07, 3];
      if (byte === 0xf0) lowest = 0x90;
      if (byte === 0xf4) highest = 0x8f;
    } else {
      text += "\ufffd";
    }
  }
  return missing > 0 ? `${text}\ufffd` : text;
}
