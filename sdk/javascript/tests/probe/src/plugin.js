// Does what an input says, for the tests of the SDK. The cases are those of the other languages: ../../go/tests/probe/cases.

import { run as command } from "../oxide-sdk/environment.js";
import { exitCode, fail, HostError, invalidInput } from "../oxide-sdk/failure.js";
import * as log from "../oxide-sdk/log.js";
import { annotate, summary } from "../oxide-sdk/output.js";
import { runInfo } from "../oxide-sdk/run-info.js";
import * as workspace from "../oxide-sdk/workspace.js";

const NO_TEXT = "a\ud800b";

const deeds = {
  failure: () => fail("no: grüße 🦀"),
  "invalid-input": () => invalidInput("`what` is `invalid-input`"),
  "exit-code": () => exitCode(7),
  bug() {
    throw new TypeError("a bug in this plugin");
  },
  "no-text": () => NO_TEXT,
  "no-text-said"() {
    log.info(NO_TEXT);
    fail(`no: ${NO_TEXT}`);
  },
  "command-fails": () => command(["lint", "--all"], { stdout: "log", check: true }).stdout,
  command() {
    const done = command(["translate", "-"], { env: { A: "grün", B: "2" }, stdin: "größe" });
    return `${done.stdout}, exit code ${done.exitCode}`;
  },
  files() {
    workspace.write("a/b/ü.txt", "größe\n");
    workspace.append("a/b/ü.txt", "mehr\n");
    workspace.write("a/empty", new Uint8Array());
    workspace.write("gone", "x");
    workspace.remove("gone");
    const names = workspace.glob("**/*").map(({ path, size }) => `${path} ${size}`);
    const folder = workspace.openReadOnly("a");
    try {
      folder.write("x", "");
    } catch (error) {
      if (error instanceof HostError && error.code === "denied") return `${names.join(", ")}: ${folder.read("b/ü.txt")}`;
      throw error;
    }
    fail("it should have been denied");
  },
  "large-file"() {
    const contents = new Uint8Array(20_000_000);
    for (let part = 0; part < 20; part += 1) contents.fill(part, part * 1_000_000);
    workspace.write("large", contents);
    for (let round = 0; round < 3; round += 1) {
      if (workspace.readBytes("large").toBase64() !== contents.toBase64()) fail("something else was read");
    }
    workspace.remove("large");
    return "the same";
  },
  "many-calls"() {
    for (let round = 0; round < 5000; round += 1) workspace.open(".").close();
    return "done";
  },
  "missing-file"() {
    if (workspace.exists("nothing.txt")) fail("it should be missing");
    return workspace.read("nothing.txt");
  },
  outputs() {
    log.group("a group", () => {
      log.debug("a detail");
      log.warning("a warning");
      log.error("an error\nof two lines");
    });
    log.progress(5, 10);
    console.log("printed");
    annotate({ message: "plain" });
    annotate({ severity: "error", message: "placed", file: "src/ü.c", line: 3 });
    annotate({ severity: "notice", message: "told" });
    summary("# Größe\n");
    return runInfo().pipeline;
  },
};

/** @param {import("../oxide-sdk/world.js").Inputs} inputs */
export function run({ what }) {
  const deed = deeds[what] ?? fail(`there is no deed \`${what}\``);
  return { seen: deed() };
}
