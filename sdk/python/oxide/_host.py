"""The bindings that the build makes from the plugin's world, as far as there are any.

A world has only the interfaces that it imports, so none of them can be imported by name here. All are looked up when
the component is built: modules that are imported later are not in it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Callable

from .failure import Denied, HostError, InvalidArgument, LimitReached, MissingImport, NotFound

#: Does this run as a component? Else it is an ordinary Python, such as that of a unit test.
IN_COMPONENT = sys.platform == "wasi"

_ERRORS = {
    "Error_NotFound": NotFound,
    "Error_Denied": Denied,
    "Error_Invalid": InvalidArgument,
    "Error_Limit": LimitReached,
    "Error_Other": HostError,
}

# Each interface with its package, its own name, and a name in it that only it has: another package may have one of the
# same name, and the module is then named after the package, too.
_INTERFACES = {
    "types": ("oxide_ci", "types", "Failure_Other"),
    "log": ("oxide_ci", "log", "start_group"),
    "output": ("oxide_ci", "output", "add_summary"),
    "run_info": ("oxide_ci", "run_info", "get"),
    "workspace": ("oxide_ci", "workspace", "root"),
    "environment": ("oxide_ci", "environment", "current"),
    "cache": ("oxide_ci", "cache", "CacheStore"),
    "artifacts": ("oxide_ci", "artifacts", "ArtifactStore"),
    "secrets": ("oxide_ci", "secrets", "names"),
    "git": ("oxide_ci", "git", "Repository"),
    "containers": ("oxide_ci", "containers", "Engine"),
    "wasi_http": ("wasi_http", "types", "OutgoingRequest"),
    "outgoing_handler": ("wasi_http", "outgoing_handler", "handle"),
}


def _find(package: str, name: str, mark: str) -> ModuleType | None:
    for module_name in (name, f"{package}_{name}"):
        try:
            module = importlib.import_module(f"wit_world.imports.{module_name}")
        except ImportError:
            continue
        if hasattr(module, mark):
            return module
    return None


_FOUND = {key: _find(*interface) for key, interface in _INTERFACES.items()} if IN_COMPONENT else {}


def interface(key: str) -> Any:
    """The bindings of an interface."""
    module = _FOUND.get(key)
    if module is not None:
        return module
    package, name, _ = _INTERFACES[key]
    wit = "wasi:http/outgoing-handler@0.2.6" if package == "wasi_http" else f"oxide:ci/{name.replace('_', '-')}@0.1.0"
    if not IN_COMPONENT:
        raise MissingImport(f"`{wit}` is there in a plugin, not in an ordinary Python")
    raise MissingImport(
        f"the plugin uses `{wit}`, which its world does not import: write `import {wit};` into wit/world.wit "
        "and build it again"
    )


def text(value: object) -> str:
    """A text that the host takes: what is no Unicode in it is replaced."""
    return str(value).encode("utf-8", "replace").decode()


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the host. What the bindings raise becomes a ``HostError``."""
    for argument in arguments:
        # The bindings abort the plugin over a text that is no Unicode; this raises an error that tells where.
        for part in argument if isinstance(argument, list) else (argument,):
            if isinstance(part, str):
                part.encode()
    try:
        return function(*arguments)
    except Exception as error:
        cause = host_error(getattr(error, "value", None))
        if cause is None:
            raise
        raise cause from None


def host_error(value: object) -> HostError | None:
    """The exception for an ``error`` of ``oxide:ci/types``; none if the value is something else."""
    kind = _ERRORS.get(type(value).__name__)
    return kind(getattr(value, "value", "")) if kind else None
