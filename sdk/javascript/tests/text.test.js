// `text.js` as QuickJS runs it, against the TextEncoder and TextDecoder of Node.

import assert from "node:assert/strict";
import test from "node:test";

const { TextEncoder: Encoder, TextDecoder: Decoder } = globalThis;
delete globalThis.TextEncoder;
delete globalThis.TextDecoder;
// QuickJS has them, Node 20 does not.
Uint8Array.prototype.toBase64 ??= function () {
  return Buffer.from(this.buffer, this.byteOffset, this.length).toString("base64");
};
Uint8Array.fromBase64 ??= (text) => new Uint8Array(Buffer.from(text, "base64"));
const { decode, encode } = await import("../text.js");

const reference = (bytes) => new Decoder("utf-8", { ignoreBOM: true }).decode(bytes);

test("texts of all kinds come back", () => {
  for (const text of ["", "a", "größe", "日本語", "👩‍🚀 🦀", "\ufeffmark", "a\0b%20+", "x".repeat(100_000), "é€🦀".repeat(5000)]) {
    assert.deepEqual([...encode(text)], [...new Encoder().encode(text)]);
    assert.equal(decode(encode(text)), text);
  }
});

test("half a surrogate pair is replaced", () => {
  assert.deepEqual([...encode("a\ud800b")], [...new Encoder().encode("a\ud800b")]);
});

test("a character at every place of a border between chunks", () => {
  for (let before = 500; before < 520; before += 1) {
    const text = "a".repeat(before) + "é€🦀日".repeat(3) + "z".repeat(before);
    assert.equal(decode(encode(text)), text);
  }
});

test("views that begin anywhere in a buffer", () => {
  const buffer = new Encoder().encode("0123456789 größe ".repeat(20));
  for (let start = 0; start < 40; start += 1) {
    const view = buffer.subarray(start, buffer.length - start);
    assert.equal(decode(view), reference(view));
  }
});

test("what is no UTF-8 is replaced as the Encoding Standard says", () => {
  const broken = [[0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0xa6], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]];
  for (const piece of broken) {
    const bytes = Uint8Array.from([97, ...piece, 98, ...piece]);
    assert.equal(decode(bytes), reference(bytes), `${piece}`);
  }
});

test("noise decodes as in Node", () => {
  let seed = 1;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const leads = [0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xa0, 0x90];
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Uint8Array.from({ length: random(round < 20 ? 9000 : 60) }, () =>
      random(2) ? leads[random(leads.length)] : random(256),
    );
    assert.equal(decode(bytes), reference(bytes), `${bytes}`);
  }
});
