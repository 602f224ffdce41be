"""Container images: built, tagged, pushed. The world needs ``import oxide:ci/containers@0.1.0;``."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from . import _host


class Image:
    """An image that the engine has."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """SHA-256 of its configuration, as ``sha256:`` and 64 hexadecimal digits."""
        id: str = self._handle.id()
        return id

    def tag(self, reference: str) -> None:
        """Gives it another name, such as ``registry.example/app:latest``."""
        _host.call(self._handle.tag, reference)

    def push(self, reference: str, *, username: str | None = None, password: str | None = None) -> str:
        """Gives it this name and pushes it; answers with the digest in the registry.

        Placeholders of secrets in the account are replaced by their values.
        """
        credentials = None
        if username is not None or password is not None:
            credentials = _host.interface("containers").Credentials(username=username or "", password=password or "")
        digest: str = _host.call(self._handle.push, reference, credentials)
        return digest


def build(
    context: str = ".",
    *,
    dockerfile: str | None = None,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    no_cache: bool = False,
) -> Image:
    """Builds an image of a directory of the workspace. What the build prints goes to the log."""
    containers = _host.interface("containers")
    options = containers.BuildOptions(
        context=context,
        dockerfile=dockerfile,
        target=target,
        build_args=list((build_args or {}).items()),
        labels=list((labels or {}).items()),
        tags=list(tags),
        no_cache=no_cache,
    )
    return Image(_host.call(_engine().build, options))


def image(reference: str) -> Image:
    """An image that the engine has, by name or id."""
    return Image(_host.call(_engine().image, reference))


def _engine() -> Any:
    return _host.call(_host.interface("containers").open)
