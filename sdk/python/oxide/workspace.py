"""The files of the job. The world needs ``import oxide:ci/workspace@0.1.0;``.

The functions work at the top of the workspace, and ``open`` gives a ``Directory`` below it with the same methods. No
path leads out: absolute paths, ``..`` above the top and links that leave it raise ``Denied``.
"""

from __future__ import annotations

import builtins
import os
from dataclasses import dataclass
from typing import Any, Literal, Union

from . import _host
from .failure import NotFound

#: Where something is in the workspace.
Path = Union[str, "os.PathLike[str]"]

Kind = Literal["file", "directory", "symbolic-link", "other"]

# A call of the host carries 16 MiB.
_PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """What is known of one entry of a directory."""

    #: The path, relative to the directory that was asked.
    path: str
    #: What it is.
    kind: Kind
    #: The size in bytes; zero for what is not a file.
    size: int
    #: May it be executed by its owner?
    executable: bool


class Directory:
    """A directory of the workspace and everything below it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def read_bytes(self, path: Path) -> bytes:
        """Reads a whole file."""
        contents = bytearray()
        while True:
            part = _host.call(self._handle.read_range, _path(path), len(contents), _PART_BYTES)
            contents += part
            if len(part) < _PART_BYTES:
                return bytes(contents)

    def read_text(self, path: Path) -> str:
        """Reads a whole file of UTF-8."""
        return self.read_bytes(path).decode()

    def write_bytes(self, path: Path, contents: bytes) -> None:
        """Writes a whole file, in the place of what was there, and makes the directories above it."""
        _host.call(self._handle.write, _path(path), contents[:_PART_BYTES])
        for start in range(_PART_BYTES, len(contents), _PART_BYTES):
            _host.call(self._handle.append, _path(path), contents[start : start + _PART_BYTES])

    def write_text(self, path: Path, contents: str) -> None:
        """Writes a whole file in UTF-8, in the place of what was there, and makes the directories above it."""
        self.write_bytes(path, contents.encode())

    def append_bytes(self, path: Path, contents: bytes) -> None:
        """Appends to a file, which is made if it is not there."""
        for start in range(0, max(len(contents), 1), _PART_BYTES):
            _host.call(self._handle.append, _path(path), contents[start : start + _PART_BYTES])

    def append_text(self, path: Path, contents: str) -> None:
        """Appends to a file in UTF-8, which is made if it is not there."""
        self.append_bytes(path, contents.encode())

    def make_directory(self, path: Path) -> None:
        """Makes a directory and those above it. Nothing happens if it is there."""
        _host.call(self._handle.create_directory, _path(path))

    def list(self, path: Path = ".") -> builtins.list[Entry]:
        """Lists one directory, sorted by name."""
        return [_entry(entry) for entry in _host.call(self._handle.list, _path(path))]

    def glob(self, pattern: str) -> builtins.list[Entry]:
        """Finds the files that match (``**`` crosses directories), sorted by path."""
        return [_entry(entry) for entry in _host.call(self._handle.glob, pattern)]

    def stat(self, path: Path) -> Entry:
        """Tells what a path leads to, without following a link at its end."""
        return _entry(_host.call(self._handle.stat, _path(path)))

    def exists(self, path: Path) -> bool:
        """Is there anything at this path?"""
        try:
            self.stat(path)
        except NotFound:
            return False
        return True

    def remove(self, path: Path) -> None:
        """Removes a file, a link, or a directory with everything below it."""
        _host.call(self._handle.remove, _path(path))

    def open(self, path: Path) -> Directory:
        """Opens a directory below this one."""
        return Directory(_host.call(self._handle.open, _path(path)))

    def open_read_only(self, path: Path) -> Directory:
        """Opens a directory below this one that may not be written through what is returned."""
        return Directory(_host.call(self._handle.open_read_only, _path(path)))


def root() -> Directory:
    """The top of the workspace."""
    return Directory(_host.call(_host.interface("workspace").root))


def read_bytes(path: Path) -> bytes:
    """Reads a whole file."""
    return root().read_bytes(path)


def read_text(path: Path) -> str:
    """Reads a whole file of UTF-8."""
    return root().read_text(path)


def write_bytes(path: Path, contents: bytes) -> None:
    """Writes a whole file, in the place of what was there, and makes the directories above it."""
    root().write_bytes(path, contents)


def write_text(path: Path, contents: str) -> None:
    """Writes a whole file in UTF-8, in the place of what was there, and makes the directories above it."""
    root().write_text(path, contents)


def append_bytes(path: Path, contents: bytes) -> None:
    """Appends to a file, which is made if it is not there."""
    root().append_bytes(path, contents)


def append_text(path: Path, contents: str) -> None:
    """Appends to a file in UTF-8, which is made if it is not there."""
    root().append_text(path, contents)


def make_directory(path: Path) -> None:
    """Makes a directory and those above it. Nothing happens if it is there."""
    root().make_directory(path)


def list(path: Path = ".") -> builtins.list[Entry]:
    """Lists one directory, sorted by name."""
    return root().list(path)


def glob(pattern: str) -> builtins.list[Entry]:
    """Finds the files that match (``**`` crosses directories), sorted by path."""
    return root().glob(pattern)


def stat(path: Path) -> Entry:
    """Tells what a path leads to, without following a link at its end."""
    return root().stat(path)


def exists(path: Path) -> bool:
    """Is there anything at this path?"""
    return root().exists(path)


def remove(path: Path) -> None:
    """Removes a file, a link, or a directory with everything below it."""
    root().remove(path)


def open(path: Path) -> Directory:
    """Opens a directory of the workspace."""
    return root().open(path)


def open_read_only(path: Path) -> Directory:
    """Opens a directory of the workspace that may not be written through what is returned."""
    return root().open_read_only(path)


def _path(path: Path) -> str:
    return os.fspath(path)


def _entry(entry: Any) -> Entry:
    kind: Kind = entry.kind.name.lower().replace("_", "-")
    return Entry(entry.path, kind, entry.size, entry.executable)
