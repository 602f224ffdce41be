"""How a step fails, and what the host answers when a call does not succeed."""

from __future__ import annotations


class Failure(Exception):
    """Fails the step. The text is a sentence for the person who reads the log."""


class InvalidInput(Failure):
    """Fails the step because an input is unusable: say which one, why, and what to write instead."""


class ExitCode(Failure):
    """Fails the step with the exit code of a command that the plugin ran."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(message or f"the command ended with exit code {code}")
        self.code = code


class HostError(Exception):
    """A call of a capability did not succeed. Without ``except`` it fails the step with its text.

    ``kind`` is ``not-found``, ``denied``, ``invalid``, ``limit`` or ``other``, as in ``oxide:ci/types``.
    """

    kind = "other"


class NotFound(HostError):
    """The thing named does not exist."""

    kind = "not-found"


class Denied(HostError):
    """The step was not granted this, or a path leaves what it was given."""

    kind = "denied"


class InvalidArgument(HostError):
    """An argument cannot be used; the text says why."""

    kind = "invalid"


class LimitReached(HostError):
    """A limit of the step was reached."""

    kind = "limit"


class MissingImport(HostError):
    """The plugin used a capability that its world does not import."""
