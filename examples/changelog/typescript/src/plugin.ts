// Writes the next section of a changelog from conventional commits.

import { run as command } from "../oxide-sdk/environment.js";
import { exitCode, invalidInput } from "../oxide-sdk/failure.js";
import * as log from "../oxide-sdk/log.js";
import { annotate, summary } from "../oxide-sdk/output.js";
import * as workspace from "../oxide-sdk/workspace.js";
import type { Inputs, Outputs } from "../oxide-sdk/world.js";
import { bumpOf, insert, LOG_FORMAT, readLog, sectionOf } from "./changelog.js";

export function run({ since, version = "Unreleased", file = "CHANGELOG.md" }: Inputs): Outputs {
  const { commits, unconventional, count } = readLog(gitLog(since));
  for (const { hash, subject } of unconventional) {
    annotate({ severity: "warning", message: `${hash} is not a conventional commit: ${subject}` });
  }
  const section = sectionOf(version, commits);
  const old = workspace.exists(file) ? workspace.read(file) : undefined;
  workspace.write(file, insert(section, old));
  summary(section);
  const bump = bumpOf(commits);
  log.info(`${count} commits, bump: ${bump}`);
  return { bump, section, commits: count };
}

function gitLog(since?: string): string {
  const argv = ["git", "log", `--format=${LOG_FORMAT}`];
  if (since !== undefined) {
    if (since === "" || since.startsWith("-")) invalidInput(`\`since\` is \`${since}\`: write a tag or a commit`);
    argv.push(`${since}..HEAD`);
  }
  const git = command(argv);
  if (git.exitCode !== 0) exitCode(git.exitCode);
  return git.stdout;
}
