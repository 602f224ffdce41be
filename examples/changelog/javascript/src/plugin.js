// Writes the next section of a changelog from conventional commits.

import { run as command } from "../oxide-sdk/environment.js";
import { exitCode, invalidInput } from "../oxide-sdk/failure.js";
import * as log from "../oxide-sdk/log.js";
import { annotate, summary } from "../oxide-sdk/output.js";
import * as workspace from "../oxide-sdk/workspace.js";
import { bumpOf, insert, LOG_FORMAT, readLog, sectionOf } from "./changelog.js";

/**
 * @param {{ since?: string, version?: string, file?: string }} inputs
 * @returns {{ bump: "none" | "patch" | "minor" | "major", section: string, commits: number }}
 */
export function run({ since, version = "Unreleased", file = "CHANGELOG.md" }) {
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

/** @param {string | undefined} since */
function gitLog(since) {
  const argv = ["git", "log", `--format=${LOG_FORMAT}`];
  if (since !== undefined) {
    if (since === "" || since.startsWith("-")) invalidInput(`\`since\` is \`${since}\`: write a tag or a commit`);
    argv.push(`${since}..HEAD`);
  }
  const git = command(argv);
  if (git.exitCode !== 0) exitCode(git.exitCode);
  return git.stdout;
}
