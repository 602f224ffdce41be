/**
 * Runs a command as `run` does, and returns what it printed as bytes.
 * @param {string[]} argv The program, a name or an absolute path, and its arguments.
 * @param {RunOptions} [options]
 * @returns {RunResult<Uint8Array>}
 */
export function runForBytes(argv: string[], options?: RunOptions): RunResult<Uint8Array>;
/**
 * Looks a program up on the search path of the environment.
 * @param {string} name
 * @returns {string | undefined} Its path, if it is there.
 */
export function findProgram(name: string): string | undefined;
/**
 * The path of the workspace as commands see it.
 * @returns {string}
 */
export function workspacePath(): string;
/**
 * What kind of place the commands run in.
 * @returns {"host" | "container" | "nix" | "firecracker"}
 */
export function environmentKind(): "host" | "container" | "nix" | "firecracker";
export { runForText as run };
export type RunOptions = {
    /**
     * Variables on top of those of the step. A secret
     * (`env: { TOKEN: secret("TOKEN") }`) becomes its value when the process starts.
     */
    env?: Record<string, string | {
        placeholder: string;
    }> | undefined;
    /**
     * The standard input. Default: an empty one. The placeholder of a secret becomes its value.
     */
    stdin?: string | Uint8Array<ArrayBufferLike> | undefined;
    /**
     * The working directory, relative to the workspace. Default: its top.
     */
    cwd?: string | undefined;
    /**
     * Where the standard output goes: into the result, to the log of the
     * step as it comes, or nowhere. Default: `piped`.
     */
    stdout?: "piped" | "log" | "discarded" | undefined;
    /**
     * Where the standard error goes. Default: `log`. Only one of the two can be
     * `piped`, because a process waits for ever if nobody reads one of them.
     */
    stderr?: "piped" | "log" | "discarded" | undefined;
    /**
     * Fail the step with the command's exit code if it is not 0. Default: false.
     */
    check?: boolean | undefined;
};
export type RunResult<Output> = {
    /**
     * The exit code; 128 and the number of the signal for a process that a signal has ended.
     */
    exitCode: number;
    /**
     * The number of the signal that has ended it.
     */
    signal?: number | undefined;
    /**
     * The standard output if it was `piped`, else empty.
     */
    stdout: Output;
    /**
     * The standard error if it was `piped`, else empty.
     */
    stderr: Output;
};
/**
 * Runs a command, waits for its end, and returns what it printed as text. There is no shell in between.
 * @param {string[]} argv The program, a name or an absolute path, and its arguments.
 * @param {RunOptions} [options]
 * @returns {RunResult<string>}
 */
declare function runForText(argv: string[], options?: RunOptions): RunResult<string>;
