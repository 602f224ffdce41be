// Commands where the job runs them: `import { run } from "../oxide-sdk/environment.js"`.
//
// The world needs `import oxide:ci/environment@0.1.0;`, and the step `grants: { environment: true }`.

import { current } from "oxide:ci/environment@0.1.0";
import { write } from "oxide:ci/log@0.1.0";
import { StepFailure } from "./failure.js";
import { host, release } from "./host.js";
import { decode, encode, joined } from "./text.js";

/**
 * @typedef {object} RunOptions
 * @property {Record<string, string | { placeholder: string }>} [env] Variables on top of those of the step. A secret
 *   (`env: { TOKEN: secret("TOKEN") }`) becomes its value when the process starts.
 * @property {string | Uint8Array} [stdin] The standard input. Default: an empty one. The placeholder of a secret becomes its value.
 * @property {string} [cwd] The working directory, relative to the workspace. Default: its top.
 * @property {"piped" | "log" | "discarded"} [stdout] Where the standard output goes: into the result, to the log of the
 *   step as it comes, or nowhere. Default: `piped`.
 * @property {"piped" | "log" | "discarded"} [stderr] Where the standard error goes. Default: `log`. Only one of the two can be
 *   `piped`, because a process waits for ever if nobody reads one of them.
 * @property {boolean} [check] Fail the step with the command's exit code if it is not 0. Default: false.
 */

/**
 * @template Output
 * @typedef {object} RunResult
 * @property {number} exitCode The exit code; 128 and the number of the signal for a process that a signal has ended.
 * @property {number} [signal] The number of the signal that has ended it.
 * @property {Output} stdout The standard output if it was `piped`, else empty.
 * @property {Output} stderr The standard error if it was `piped`, else empty.
 */

/** At most so many bytes are read at a time. */
const READ_BYTES = 1 << 20;

let environment;

function here() {
  environment ??= host(current);
  return environment;
}

/**
 * Runs a command, waits for its end, and returns what it printed as text. There is no shell in between.
 * @param {string[]} argv The program, a name or an absolute path, and its arguments.
 * @param {RunOptions} [options]
 * @returns {RunResult<string>}
 */
function runForText(argv, options) {
  const { stdout, stderr, ...result } = runForBytes(argv, options);
  return { ...result, stdout: decode(stdout), stderr: decode(stderr) };
}

// Under another name in here, so that the stack of an exception names one `run`: that of the plugin.
export { runForText as run };

/**
 * Runs a command as `run` does, and returns what it printed as bytes.
 * @param {string[]} argv The program, a name or an absolute path, and its arguments.
 * @param {RunOptions} [options]
 * @returns {RunResult<Uint8Array>}
 */
export function runForBytes(argv, options = {}) {
  const { stdout = "piped", stderr = "log", check = false } = options;
  if (!Array.isArray(argv) || argv.length === 0) {
    throw new TypeError('`run` takes a list that begins with the program, such as ["git", "status"]');
  }
  if (stdout === "piped" && stderr === "piped") {
    throw new TypeError("`run` can read one of stdout and stderr: let the other one go to the `log`");
  }
  const process = spawn(argv, { ...options, stdout, stderr });
  try {
    const result = {
      stdout: stdout === "piped" ? readAll(() => process.readStdout(READ_BYTES)) : new Uint8Array(),
      stderr: stderr === "piped" ? readAll(() => process.readStderr(READ_BYTES)) : new Uint8Array(),
    };
    const { tag, val } = host(() => process.wait());
    const exitCode = tag === "code" ? val : 128 + val;
    if (check && exitCode !== 0) {
      write("error", `\`${argv[0]}\` ended with exit code ${exitCode}`);
      throw new StepFailure("exit-code", exitCode);
    }
    return tag === "code" ? { exitCode, ...result } : { exitCode, signal: val, ...result };
  } finally {
    release(process);
  }
}

/**
 * Looks a program up on the search path of the environment.
 * @param {string} name
 * @returns {string | undefined} Its path, if it is there.
 */
export function findProgram(name) {
  return host(() => here().findProgram(name)) ?? undefined;
}

/**
 * The path of the workspace as commands see it.
 * @returns {string}
 */
export function workspacePath() {
  return here().workspacePath();
}

/**
 * What kind of place the commands run in.
 * @returns {"host" | "container" | "nix" | "firecracker"}
 */
export function environmentKind() {
  return here().kind();
}

function spawn(argv, { env = {}, stdin, cwd, stdout, stderr }) {
  const [program, ...args] = argv;
  const command = here().command(program);
  try {
    for (const arg of args) command.arg(arg);
    for (const [name, value] of Object.entries(env)) {
      host(() => command.env(name, typeof value === "string" ? value : value.placeholder));
    }
    if (cwd !== undefined) host(() => command.workingDirectory(cwd));
    if (stdin !== undefined) command.stdin(typeof stdin === "string" ? encode(stdin) : stdin);
    command.stdout(stdout);
    command.stderr(stderr);
    return host(() => command.spawn());
  } finally {
    release(command);
  }
}

function readAll(read) {
  const pieces = [];
  let length = 0;
  for (;;) {
    const piece = host(read);
    if (piece.length === 0) break;
    pieces.push(piece);
    length += piece.length;
  }
  return joined(pieces, length);
}
