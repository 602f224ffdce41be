// Where the build begins: exports the `run` that the host calls, around the `run` of `src/plugin.js` or `src/plugin.ts`.
//
// What is thrown becomes the failure of the step, with its message; the stack goes to the log.

import { write } from "oxide:ci/log@0.1.0";
import { startConsole } from "./console.js";
import { run } from "../src/plugin";
import { HostError, StepFailure } from "./failure.js";
import { isQuickJs } from "./host.js";
import { startRandom } from "./random.js";
import { outputs } from "./world.js";

if (typeof run !== "function") {
  throw new Error("the plugin has no function `run`: write `export function run(inputs) { … }` in src/plugin.js or src/plugin.ts");
}

function step(inputs) {
  startConsole();
  if (isQuickJs) startRandom();
  let result;
  try {
    result = run(withoutNone(inputs));
  } catch (thrown) {
    throw failure(thrown);
  }
  if (typeof result?.then !== "function") return checked(result);
  if (isQuickJs) {
    const hint = 'take out `async`, or set `engine = "starlingmonkey"` in plugin.toml';
    throw other(`\`run\` is an async function, and QuickJS cannot wait: ${hint}`);
  }
  return result.then(checked, (thrown) => {
    throw failure(thrown);
  });
}

export { step as run };

/** An input that was left out is null in QuickJS and undefined in StarlingMonkey; only undefined takes a default value. */
function withoutNone(value) {
  if (value === null || typeof value !== "object") return value ?? undefined;
  if (Array.isArray(value)) return value.map(withoutNone);
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, withoutNone(field)]));
}

/** Tells what is wrong with the outputs in words of the plugin: the engines have others. */
function checked(value) {
  if (outputs === null) return value;
  if (value === null || typeof value !== "object") {
    throw other(`\`run\` returned ${value}: return an object with ${list(Object.keys(outputs))}`);
  }
  for (const [name, { type, cases, optional }] of Object.entries(outputs)) {
    const field = value[name];
    if (optional && (field === null || field === undefined)) continue;
    if (typeof field !== type || field === null) {
      throw other(`\`run\` returned an object whose \`${name}\` is ${shown(field)}: it must be of the type \`${type}\``);
    }
    if (type === "string" && !field.isWellFormed()) {
      throw other(`\`run\` returned an object whose \`${name}\` is not UTF-8: it holds half of a surrogate pair`);
    }
    if (cases && !cases.includes(field)) {
      throw other(`\`run\` returned an object whose \`${name}\` is ${shown(field)}: it must be one of ${list(cases)}`);
    }
  }
  return value;
}

function shown(value) {
  return typeof value === "string" ? `\`${value}\`` : typeof value === "object" && value ? "an object" : String(value);
}

function list(words) {
  return words.map((word) => `\`${word}\``).join(", ");
}

/** What the host takes for the variant `failure` of the contract. */
function failure(thrown) {
  if (thrown instanceof StepFailure) return repaired(thrown.payload);
  if (["exit-code", "invalid-input", "other"].includes(thrown?.tag)) return thrown;
  if (!(thrown instanceof Error)) return other(String(thrown));
  const heading = thrown.name === "Error" || thrown instanceof HostError ? thrown.message : String(thrown);
  write("error", `${heading}\n${trace(thrown)}`.trimEnd().toWellFormed());
  return other(heading);
}

/** Where an error was thrown, and those that caused it. */
function trace(error) {
  let text = error.stack ?? "";
  let { cause } = error;
  for (let depth = 0; depth < CAUSES_MAX && cause !== undefined; depth += 1) {
    text = `${text.trimEnd()}\ncaused by: ${cause}\n${cause?.stack ?? ""}`;
    cause = cause?.cause;
  }
  return text;
}

const CAUSES_MAX = 10;

function other(text) {
  return { tag: "other", val: text.toWellFormed() };
}

function repaired({ tag, val }) {
  return { tag, val: typeof val === "string" ? val.toWellFormed() : val };
}
