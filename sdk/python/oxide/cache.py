"""Files that a later run can use again. The world needs ``import oxide:ci/cache@0.1.0;``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from . import _host


@dataclass(frozen=True)
class Entry:
    """What is known of an entry."""

    #: The key that it was saved under.
    key: str
    #: How many files it holds.
    files: int
    #: The size of the files in bytes.
    size: int
    #: The bytes that it takes in the store.
    stored: int
    #: When it was saved, in seconds since 1970 (UTC).
    saved_at: int


@dataclass(frozen=True)
class Saved:
    """How a save ended."""

    #: The entry under the key.
    entry: Entry
    #: Was it made now? Else there was one, and it stays as it is.
    new: bool


def restore(key: str, fallback_keys: Sequence[str] = ()) -> Entry | None:
    """Puts the files of an entry back to where they were in the workspace.

    It is the entry under ``key``, else the newest one whose key begins with the first of the fallback keys for which
    there is one. None if nothing fits.
    """
    entry = _host.call(_store().restore, key, list(fallback_keys))
    return None if entry is None else _entry(entry)


def save(key: str, paths: Sequence[str]) -> Saved:
    """Saves files and directories of the workspace under a key.

    Paths may be globs; ``!`` before one leaves out what it means.
    """
    if isinstance(paths, str):
        raise ValueError("write the paths as a list")
    saved = _host.call(_store().save, key, list(paths))
    return Saved(_entry(saved.value), isinstance(saved, _host.interface("cache").Saved_Stored))


def _store() -> Any:
    return _host.call(_host.interface("cache").open)


def _entry(entry: Any) -> Entry:
    return Entry(entry.key, entry.files, entry.size, entry.stored, entry.saved_at)
