"""Fetches commits; the host holds the credentials. The world needs ``import oxide:ci/git@0.1.0;``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from . import _host


@dataclass(frozen=True)
class Commit:
    """What is known of a commit."""

    id: str
    branch: str | None
    tag: str | None
    author_name: str
    author_email: str
    #: When it was committed, in seconds since 1970 (UTC).
    committed_at: int
    #: The first line of its message.
    subject: str


def checkout(
    remote: str,
    path: str = ".",
    *,
    ref: str | None = None,
    depth: int | None = None,
    submodules: bool = False,
    sparse: Sequence[str] = (),
) -> Commit:
    """Fetches a commit of a remote and puts its files into a directory of the workspace.

    ``ref`` is a branch, a tag, a full reference or a commit id; none is the default branch. ``depth`` is how many
    commits of history to fetch; none is all of it.
    """
    git = _host.interface("git")
    repository = _host.call(git.open, remote)
    options = git.FetchOptions(ref=ref, depth=depth, submodules=submodules, sparse=list(sparse))
    commit = _host.call(repository.checkout, path, options)
    return Commit(
        commit.id,
        commit.branch,
        commit.tag,
        commit.author_name,
        commit.author_email,
        commit.committed_at,
        commit.subject,
    )
