"""Checks what ``run`` returns, because the bindings abort the plugin over a wrong type without saying where."""

from __future__ import annotations

import dataclasses
import enum
import typing
from typing import Any

_SIMPLE = (str, int, float, bool, bytes)


def fields_of(record: object) -> dict[str, Any]:
    """The fields of a record of the bindings with their types; none if there is no such record."""
    return typing.get_type_hints(record) if dataclasses.is_dataclass(record) else {}


def problem(value: object, record: Any, fields: dict[str, Any]) -> str | None:
    """What is wrong with the outputs, if something is. Looks at the fields, not into lists."""
    if record is None:
        return None
    if not isinstance(value, record):
        return f"`run` returned {_name(value)}, not {record.__name__}"
    for name, wanted in fields.items():
        field = getattr(value, name)
        if not _fits(field, wanted):
            return f"the output `{name}` is {_name(field)}, not {getattr(wanted, '__name__', wanted)}"
        if isinstance(field, str) and not _is_unicode(field):
            return f"the output `{name}` is not UTF-8: decode bytes with `errors=\"replace\"`"
    return None


def _fits(value: object, wanted: Any) -> bool:
    options = typing.get_args(wanted)
    if type(None) in options:
        return value is None or any(_fits(value, option) for option in options if option is not type(None))
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    known = wanted in _SIMPLE or (isinstance(wanted, type) and issubclass(wanted, enum.Enum))
    return isinstance(value, wanted) if known or dataclasses.is_dataclass(wanted) else True


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(value: object) -> str:
    return "None" if value is None else f"{value!r:.60} ({type(value).__name__})"
