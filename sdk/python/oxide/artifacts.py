"""Files that outlive their job. The world needs ``import oxide:ci/artifacts@0.1.0;``."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any, Sequence

from . import _host


@dataclass(frozen=True)
class Artifact:
    """What is known of an artifact."""

    #: Its name, unique within the run.
    name: str
    #: How many files it holds.
    files: int
    #: The size of the files in bytes.
    size: int
    #: SHA-256 of what is stored, as ``sha256:`` and 64 hexadecimal digits.
    digest: str
    #: When it expires, in seconds since 1970 (UTC).
    expires_at: int


def upload(name: str, paths: Sequence[str], *, retention_days: int | None = None) -> Artifact:
    """Keeps files of the workspace under a name. Paths may be globs; ``!`` before one leaves out what it means."""
    if isinstance(paths, str):
        raise ValueError("write the paths as a list")
    return _artifact(_host.call(_store().upload, name, builtins.list(paths), retention_days))


def download(name: str, directory: str = ".") -> Artifact:
    """Puts the files of an artifact of this run below a directory of the workspace."""
    return _artifact(_host.call(_store().download, name, directory))


def list() -> builtins.list[Artifact]:
    """The artifacts that the run has so far, sorted by name."""
    return [_artifact(artifact) for artifact in _host.call(_store().list)]


def _store() -> Any:
    return _host.call(_host.interface("artifacts").open)


def _artifact(artifact: Any) -> Artifact:
    return Artifact(artifact.name, artifact.files, artifact.size, artifact.digest, artifact.expires_at)
