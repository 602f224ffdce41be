"""Runs commands where the job runs them. The world needs ``import oxide:ci/environment@0.1.0;``."""

from __future__ import annotations

import codecs
import sys
from dataclasses import dataclass
from typing import Any, Iterator, Literal, Mapping, Sequence

from . import _host
from .failure import ExitCode

Output = Literal["log", "pipe", "discard"]

_READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class Completed:
    """A command that has ended."""

    #: The program and its arguments.
    args: tuple[str, ...]
    #: The exit code; 128 and the number of the signal if it was ended by one.
    exit_code: int
    #: The signal that ended it.
    signal: int | None
    #: What it printed, if ``stdout="pipe"``.
    stdout_bytes: bytes
    #: What it printed to its standard error, if ``stderr="pipe"``.
    stderr_bytes: bytes

    @property
    def stdout(self) -> str:
        """What it printed as text; bytes that are not UTF-8 are replaced."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it printed to its standard error as text; bytes that are not UTF-8 are replaced."""
        return self.stderr_bytes.decode("utf-8", "replace")


class CommandFailed(ExitCode):
    """A command ended with another exit code than 0. Without ``except`` it fails the step with this code."""

    def __init__(self, completed: Completed) -> None:
        super().__init__(completed.exit_code, f"`{completed.args[0]}` ended with exit code {completed.exit_code}")
        self.completed = completed


class Process:
    """A command that was started. It ends with the step at the latest."""

    def __init__(self, handle: Any, args: Sequence[str], stdout: Output, stderr: Output) -> None:
        self._handle = handle
        self._args = tuple(args)
        self._read = handle.read_stdout if stdout == "pipe" else handle.read_stderr if stderr == "pipe" else None
        self._stdout_piped = stdout == "pipe"

    def read(self, length: int = _READ_BYTES) -> bytes:
        """Waits for bytes of the output that is piped: at most so many, none at its end."""
        if self._read is None:
            raise ValueError('nothing is piped to the plugin: start the command with `stdout="pipe"`')
        part: bytes = _host.call(self._read, length)
        return part

    def lines(self) -> Iterator[str]:
        """The lines of the output that is piped, without their ends, while they come."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while part := self.read():
            *whole, rest = (rest + decoder.decode(part)).split("\n")
            yield from whole
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest

    def wait(self, *, check: bool = True) -> Completed:
        """Reads the rest of the output that is piped, and waits for the end of the command."""
        rest = bytearray()
        while self._read is not None and (part := self.read()):
            rest += part
        ended = _host.call(self._handle.wait)
        signal = ended.value if type(ended).__name__ == "Exit_Signalled" else None
        exit_code = ended.value if signal is None else 128 + signal
        out, err = (bytes(rest), b"") if self._stdout_piped else (b"", bytes(rest))
        completed = Completed(self._args, exit_code, signal, out, err)
        if check and exit_code != 0:
            raise CommandFailed(completed)
        return completed

    def interrupt(self) -> None:
        """Asks it to stop what it does, as Ctrl-C does."""
        self._signal("INTERRUPT")

    def terminate(self) -> None:
        """Asks it to end."""
        self._signal("TERMINATE")

    def kill(self) -> None:
        """Ends it at once."""
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        _host.call(self._handle.signal, _host.interface("environment").Signal[name])


def run(
    args: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    cwd: str | None = None,
    stdout: Output = "log",
    stderr: Output = "log",
    check: bool = True,
) -> Completed:
    """Runs a program with arguments, without a shell, and waits for its end.

    ``env`` is added to the environment of the step; values may hold placeholders of secrets, and so may ``stdin``.
    ``cwd`` is relative to the workspace. What the command prints goes to the log of the step; ``stdout="pipe"`` gives
    it to the plugin. Only one of the two outputs can be piped, because a plugin reads one after the other. With
    ``check`` an exit code other than 0 raises ``CommandFailed``.
    """
    return start(args, env=env, stdin=stdin, cwd=cwd, stdout=stdout, stderr=stderr).wait(check=check)


def start(
    args: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    cwd: str | None = None,
    stdout: Output = "log",
    stderr: Output = "log",
) -> Process:
    """Starts a program as ``run`` does, and does not wait: to read much output bit by bit, or to stop it."""
    if isinstance(args, (str, bytes)) or not args:
        raise ValueError('write the program and its arguments as a list, such as ["git", "status"]')
    if stdout == "pipe" and stderr == "pipe":
        raise ValueError("pipe either `stdout` or `stderr`: a command could wait for ever for the other one to be read")
    for text in [*args, *(env or {}).keys(), *(env or {}).values()]:
        if not isinstance(text, str):
            raise TypeError(f"arguments and environment of a command are texts, and {text!r} is not")
    environment = _host.interface("environment")
    command = _host.call(_current().command, args[0])
    for arg in args[1:]:
        _host.call(command.arg, arg)
    for name, value in (env or {}).items():
        _host.call(command.env, name, value)
    if cwd is not None:
        _host.call(command.working_directory, cwd)
    if stdin is not None:
        _host.call(command.stdin, stdin.encode() if isinstance(stdin, str) else bytes(stdin))
    command.stdout(_output_to(environment, stdout))
    command.stderr(_output_to(environment, stderr))
    sys.stdout.flush()
    sys.stderr.flush()
    return Process(_host.call(command.spawn), args, stdout, stderr)


def find_program(name: str) -> str | None:
    """Looks a program up on the search path of the job's environment; none if it is not there."""
    path: str | None = _host.call(_current().find_program, name)
    return path


def workspace_path() -> str:
    """The path of the workspace as commands see it."""
    path: str = _current().workspace_path()
    return path


def _current() -> Any:
    return _host.call(_host.interface("environment").current)


def _output_to(environment: Any, output: Output) -> Any:
    names = {"log": "LOG", "pipe": "PIPED", "discard": "DISCARDED"}
    if output not in names:
        raise ValueError(f'an output goes to "log", "pipe" or "discard", not to {output!r}')
    return environment.OutputTo[names[output]]
