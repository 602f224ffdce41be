// `console` writes to the log of the step. QuickJS has none, and packages from npm use it.

import { write } from "oxide:ci/log@0.1.0";

/** What was printed while the component was made, where no host answers. Null inside of a call. */
let early = [];

/** Lets `console` write. What was printed before comes first, in the log of every step. */
export function startConsole() {
  for (const [level, text] of early ?? []) write(level, text);
  early = null;
}

function printer(level) {
  return (...values) => {
    const text = values.map(shown).join(" ").toWellFormed();
    if (early) early.push([level, text]);
    else write(level, text);
  };
}

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ? `${value}\n${value.stack}`.trimEnd() : String(value);
  if (value === null || typeof value !== "object") return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

globalThis.console = {
  ...globalThis.console,
  debug: printer("debug"),
  trace: printer("debug"),
  log: printer("info"),
  info: printer("info"),
  warn: printer("warning"),
  error: printer("error"),
};
