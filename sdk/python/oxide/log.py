"""Writes to the log of the step. ``print`` arrives there, too."""

from __future__ import annotations

import sys
from types import TracebackType

from . import _host


def debug(message: object) -> None:
    """Writes what is only of use to who looks for a fault."""
    _write("DEBUG", message)


def info(message: object) -> None:
    """Writes what is in the ordinary course of things."""
    _write("INFO", message)


def warning(message: object) -> None:
    """Writes what a person should see."""
    _write("WARNING", message)


def error(message: object) -> None:
    """Writes what went wrong. It does not fail the step: raise a ``Failure`` for that."""
    _write("ERROR", message)


def group(title: str) -> Group:
    """Folds the lines that are written inside of ``with log.group(title):`` under a title."""
    return Group(title)


def progress(done: int, total: int) -> None:
    """Tells how far the step is, in whatever unit it counts. A total of zero means unknown."""
    if _host.IN_COMPONENT:
        _before()
        _host.interface("log").progress(done, total)


class Group:
    """An open group; see ``group``."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Group:
        if _host.IN_COMPONENT:
            _before()
            _host.interface("log").start_group(_host.text(self._title))
        else:
            print(f"-- {self._title}", file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _host.IN_COMPONENT:
            _before()
            _host.interface("log").end_group()


def _write(level: str, message: object) -> None:
    if _host.IN_COMPONENT:
        _before()
        log = _host.interface("log")
        log.write(log.Level[level], _host.text(message))
    else:
        print(f"{level.lower()}: {message}", file=sys.stderr)


def _before() -> None:
    # What was printed before comes before.
    sys.stdout.flush()
    sys.stderr.flush()
