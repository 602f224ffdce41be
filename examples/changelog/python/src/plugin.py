"""Writes the next section of a changelog from conventional commits."""

from changelog import LOG_FORMAT, insert, read_log, section
from oxide import InvalidInput, NotFound, annotate, log, run as command, summary, workspace
from wit_world import Bump, Inputs, Outputs


def run(inputs: Inputs) -> Outputs:
    """Reads the commits, writes the section on top of the changelog."""
    history = read_log(command(git_log(inputs.since), stdout="pipe").stdout)
    for hash, subject in history.unconventional:
        annotate(f"{hash} is not a conventional commit: {subject}")

    text = section("Unreleased" if inputs.version is None else inputs.version, history.commits)
    file = "CHANGELOG.md" if inputs.file is None else inputs.file
    workspace.write_bytes(file, insert(text, read_if_there(file)).encode("utf-8", "surrogateescape"))
    summary(text)
    log.info(f"{history.count} commits, bump: {history.bump}")
    return Outputs(bump=Bump[history.bump.upper()], section=text, commits=history.count)


def git_log(since: str | None) -> list[str]:
    """The command that prints the commits."""
    if since is None:
        return ["git", "log", LOG_FORMAT]
    if since == "" or since.startswith("-"):
        raise InvalidInput(f"`since` is `{since}`: write a tag or a commit")
    return ["git", "log", LOG_FORMAT, f"{since}..HEAD"]


def read_if_there(file: str) -> str | None:
    """The text of a file, whatever its bytes are; none if there is no such file."""
    try:
        return workspace.read_bytes(file).decode("utf-8", "surrogateescape")
    except NotFound:
        return None
