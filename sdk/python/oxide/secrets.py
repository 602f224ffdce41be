"""Secrets as handles: a plugin spends a secret without reading it.

The world needs ``import oxide:ci/secrets@0.1.0;``.
"""

from __future__ import annotations

import builtins
from typing import Any

from . import _host


class Secret:
    """A secret that the step was granted. As text it is its placeholder."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def name(self) -> str:
        """The name of the secret."""
        name: str = self._handle.name()
        return name

    @property
    def placeholder(self) -> str:
        """A text that the host replaces by the value: in the environment of a command, its input, a request."""
        placeholder: str = self._handle.placeholder()
        return placeholder

    def reveal(self) -> str:
        """The value itself. Raises ``Denied`` unless the pipeline grants ``reveal`` for this secret."""
        value: str = _host.call(self._handle.reveal)
        return value

    def __str__(self) -> str:
        return self.placeholder


def names() -> builtins.list[str]:
    """The names of the secrets that the step was granted, sorted."""
    names: builtins.list[str] = _host.interface("secrets").names()
    return names


def open(name: str) -> Secret:
    """Opens a secret by name. Raises ``Denied`` if the step was not granted it."""
    return Secret(_host.call(_host.interface("secrets").open, name))
