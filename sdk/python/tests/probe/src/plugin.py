"""Does what an input says, for the tests of the SDK."""

from oxide import (
    CommandFailed,
    Denied,
    ExitCode,
    Failure,
    InvalidInput,
    NotFound,
    annotate,
    log,
    run as command,
    run_info,
    summary,
    workspace,
)
from wit_world import Inputs, Outputs

NO_TEXT = b"a\xffb".decode("utf-8", "surrogateescape")


def run(inputs: Inputs) -> Outputs:
    deed = DEEDS.get(inputs.what)
    if deed is None:
        raise Failure(f"there is no deed `{inputs.what}`")
    return Outputs(seen=deed())


def failure() -> str:
    raise Failure("no: grüße 🦀")


def invalid_input() -> str:
    raise InvalidInput("`what` is `invalid-input`")


def exit_code() -> str:
    raise ExitCode(7)


def bug() -> str:
    raise TypeError("a bug in this plugin")


def no_text_said() -> str:
    log.info(NO_TEXT)
    raise Failure(f"no: {NO_TEXT}")


def command_fails() -> str:
    command(["lint", "--all"])
    return ""


def command_pipes() -> str:
    try:
        command(["translate", "-"], env={"A": "grün", "B": "2"}, stdin="größe", stdout="pipe")
    except CommandFailed as error:
        return f"{error.completed.stdout}, exit code {error.code}"
    raise Failure("it should have failed")


def files() -> str:
    workspace.write_text("a/b/ü.txt", "größe\n")
    workspace.append_text("a/b/ü.txt", "mehr\n")
    workspace.write_bytes("a/empty", b"")
    workspace.write_text("gone", "x")
    workspace.remove("gone")
    names = ", ".join(f"{entry.path} {entry.size}" for entry in workspace.glob("**/*"))
    folder = workspace.open_read_only("a")
    try:
        folder.write_text("x", "")
    except Denied:
        return f"{names}: {folder.read_text('b/ü.txt')}"
    raise Failure("it should have been denied")


def large_file() -> str:
    """More than a call of the host carries."""
    contents = b"0123456789" * 2_000_000
    workspace.write_bytes("large", contents)
    for _ in range(3):
        if workspace.read_bytes("large") != contents:
            raise Failure("something else was read")
    workspace.remove("large")
    return "the same"


def many_calls() -> str:
    """More handles than a step may hold, one after the other."""
    for _ in range(5000):
        workspace.stat(".")
    return "done"


def missing_file() -> str:
    try:
        return workspace.read_text("nothing.txt")
    except NotFound:
        if workspace.exists("nothing.txt"):
            raise Failure("it should be missing") from None
        raise


def outputs() -> str:
    with log.group("a group"):
        log.debug("a detail")
        log.warning("a warning")
        log.error("an error\nof two lines")
    log.progress(5, 10)
    print("printed")
    annotate("plain")
    annotate("placed", severity="error", file="src/ü.c", line=3)
    annotate("told", severity="notice")
    summary("# Größe\n")
    return run_info.get().pipeline


DEEDS = {
    "failure": failure,
    "invalid-input": invalid_input,
    "exit-code": exit_code,
    "bug": bug,
    "no-text": lambda: NO_TEXT,
    "no-text-said": no_text_said,
    "command-fails": command_fails,
    "command": command_pipes,
    "files": files,
    "large-file": large_file,
    "many-calls": many_calls,
    "missing-file": missing_file,
    "outputs": outputs,
}
