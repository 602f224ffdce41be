// Numbers of `Math.random` that differ from step to step.
//
// QuickJS draws its start when the component is made, and so would give every step the same numbers.

import { get } from "oxide:ci/run-info@0.1.0";

/** Replaces `Math.random`. Only inside of a call: while the component is made, no host answers. */
export function startRandom() {
  let next;
  Math.random = () => {
    next ??= generator(seed());
    return next();
  };
}

function seed() {
  const { run, job, step, attempt } = get();
  return [run, job, step, attempt, Date.now(), performance.now()].join("\n");
}

/** The generator sfc32, started with a hash of the text. Good enough for names and samples, not for secrets. */
function generator(text) {
  let hash = 0x811c9dc5;
  const hashed = () => {
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    return hash;
  };
  let [a, b, c, count] = [hashed(), hashed(), hashed(), 1];
  const draw = () => {
    const sum = (a + b + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x100000000;
  };
  for (let round = 0; round < 12; round += 1) draw();
  return draw;
}
