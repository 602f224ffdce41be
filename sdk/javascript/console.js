// `console` writes to the log of the step. QuickJS has none, and packages from npm use it.

import { write } from "oxide:ci/log@0.1.0";

function printer(level) {
  return (...values) => write(level, values.map(shown).join(" "));
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
