"""The bindings that the build makes from the plugin's world, as far as there are any.

A world has only the interfaces that it imports, so none of them can be imported by name here. All are looked up when the
component is built: modules that are imported later are not in it.
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

# Each interface with a name that only it has, because another package may have an interface of the same name.
_MARKS = {
    "types": "Failure",
    "log": "start_group",
    "output": "add_summary",
    "run_info": "get",
    "workspace": "root",
    "environment": "current",
    "cache": "CacheStore",
    "artifacts": "ArtifactStore",
    "secrets": "names",
    "git": "Repository",
    "containers": "Engine",
}


def _find(interface: str, mark: str) -> ModuleType | None:
    for name in (interface, f"ci_{interface}", f"oxide_ci_{interface}", f"oxide_ci_{interface}_0_1_0"):
        try:
            module = importlib.import_module(f"wit_world.imports.{name}")
        except ImportError:
            continue
        if hasattr(module, mark):
            return module
    return None


_FOUND = {interface: _find(interface, mark) for interface, mark in _MARKS.items()} if IN_COMPONENT else {}


def interface(name: str) -> Any:
    """The bindings of an interface of ``oxide:ci``."""
    module = _FOUND.get(name)
    if module is not None:
        return module
    wit_name = name.replace("_", "-")
    if not IN_COMPONENT:
        raise MissingImport(f"`oxide:ci/{wit_name}` is there in a plugin, not in an ordinary Python")
    raise MissingImport(
        f"the plugin uses `oxide:ci/{wit_name}`, which its world does not import: "
        f"write `import oxide:ci/{wit_name}@0.1.0;` into wit/world.wit and build it again"
    )


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the host. What the bindings raise becomes a ``HostError``."""
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
