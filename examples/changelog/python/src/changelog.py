"""From a git log to the next section of a changelog. Knows nothing of plugins."""

import re
from dataclasses import dataclass

#: What git is asked for: hash, subject and body, with separators that no message has.
LOG_FORMAT = "--format=%h%x1f%s%x1f%b%x1e"

_SUBJECT = re.compile(r"([A-Za-z]+)(?:\(([^()]+)\))?(!)?: (.*)")
_BREAKING = re.compile(r"^BREAKING[ -]CHANGE: (.*)$", re.MULTILINE)

# White space of ASCII.
_BLANK = " \t\n\f\r"

_HEADINGS = {"feat": "Features", "fix": "Fixes", "perf": "Performance"}


@dataclass(frozen=True)
class Commit:
    """A commit that follows the convention: `type(scope)!: description`."""

    hash: str
    type: str
    scope: str | None
    #: What is told of it.
    description: str
    breaking: bool

    def line(self) -> str:
        """Its line in the changelog."""
        scope = f"**{self.scope}:** " if self.scope else ""
        return f"- {scope}{self.description} ({self.hash})"


@dataclass(frozen=True)
class Log:
    """What a git log says."""

    #: The commits that follow the convention, in the order of the log.
    commits: list[Commit]
    #: Hash and subject of those that do not; merges are left out.
    unconventional: list[tuple[str, str]]
    #: How many commits there are.
    count: int

    @property
    def bump(self) -> str:
        """How much the version must rise."""
        types = {commit.type for commit in self.commits}
        if any(commit.breaking for commit in self.commits):
            return "major"
        if "feat" in types:
            return "minor"
        return "patch" if types & {"fix", "perf"} else "none"


def read_log(text: str) -> Log:
    """Reads what git prints for `LOG_FORMAT`."""
    commits: list[Commit] = []
    unconventional: list[tuple[str, str]] = []
    count = 0
    for record in text.split("\x1e"):
        hash, _, message = record.lstrip("\n").partition("\x1f")
        if not hash:
            continue
        count += 1
        subject, _, body = message.partition("\x1f")
        commit = read_commit(hash, subject, body)
        if commit is not None:
            commits.append(commit)
        elif not subject.startswith("Merge "):
            unconventional.append((hash, subject))
    return Log(commits, unconventional, count)


def read_commit(hash: str, subject: str, body: str) -> Commit | None:
    """Reads a message; none if it does not follow the convention."""
    match = _SUBJECT.fullmatch(subject)
    if match is None or not match[4].strip(_BLANK):
        return None
    type, scope, mark, description = match.groups()
    footer = _BREAKING.search(body)
    told = footer[1] if footer else description
    return Commit(hash, type, scope, told.strip(_BLANK), breaking=bool(mark or footer))


def section(heading: str, commits: list[Commit]) -> str:
    """The section in markdown."""
    groups = {"Breaking changes": [commit for commit in commits if commit.breaking]}
    for type, title in _HEADINGS.items():
        groups[title] = [commit for commit in commits if commit.type == type and not commit.breaking]
    parts = [f"## {heading}\n"]
    for title, members in groups.items():
        if members:
            parts.append(f"### {title}\n\n" + "".join(f"{commit.line()}\n" for commit in members))
    if len(parts) == 1:
        parts.append("No changes that users notice.\n")
    return "\n".join(parts)


def insert(section: str, changelog: str | None) -> str:
    """The changelog with the section on top, below its title."""
    if changelog is None:
        return f"# Changelog\n\n{section}"
    title = re.search(r"^# .*\n?(?:[ \t\r]*\n)*", changelog, re.MULTILINE)
    at = title.end() if title else 0
    above, below = changelog[:at], changelog[at:]
    line_break = "\n\n" if above and not above.endswith("\n") else ""
    return f"{above}{line_break}{section}\n{below}"
