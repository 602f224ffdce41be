"""What the component exports: it calls ``run`` of the author's ``plugin`` and turns what it raises into a failure.

The build hands this module to componentize-py. What the plugin imports is loaded here, when the component is made.
"""

from __future__ import annotations

import os.path
import sys
import traceback
from typing import Any

import plugin
import wit_world
from componentize_py_types import Err
from oxide import _host, log, returned
from oxide.failure import ExitCode, Failure, HostError, InvalidInput

if not callable(getattr(plugin, "run", None)):
    raise ImportError("src/plugin.py has no function `run`: write `def run(inputs: Inputs) -> Outputs:`")

# The folders as the component sees them, and as the author does.
_FOLDERS = {os.path.dirname(plugin.__file__): "src", os.path.dirname(__file__): "oxide-sdk"}

_OUTPUTS = getattr(wit_world, "Outputs", None)
_FIELDS = returned.fields_of(_OUTPUTS)


class WitWorld:
    """The exports of the world."""

    def run(self, *inputs: Any) -> Any:
        """Runs the plugin."""
        try:
            outputs = plugin.run(*inputs)
            if wrong := returned.problem(outputs, _OUTPUTS, _FIELDS):
                raise TypeError(wrong)
            return outputs
        except BaseException as error:
            raise Err(_failure(error)) from None
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _failure(error: BaseException) -> Any:
    """The ``failure`` of ``oxide:ci/types`` for what was raised."""
    types = _host.interface("types")
    if isinstance(error, ExitCode):
        log.error(error)
        return types.Failure_ExitCode(error.code)
    if isinstance(error, InvalidInput):
        return types.Failure_InvalidInput(_host.text(error))
    if isinstance(error, Failure):
        return types.Failure_Other(_host.text(error))
    if isinstance(error, Err):
        # Of an author who uses the bindings as they are.
        if type(error.value).__name__.startswith("Failure_"):
            return error.value
        error = _host.host_error(error.value) or error
    _print_trace(error)
    if isinstance(error, HostError):
        return types.Failure_Other(_host.text(error))
    if isinstance(error, MemoryError):
        text = "the memory of the step is used up: raise `limits: { memory }` of the step, or hold less at once"
        return types.Failure_Other(text)
    if isinstance(error, SystemExit):
        return types.Failure_Other(f"the plugin called sys.exit({error.code!r}): return outputs or raise a Failure")
    return types.Failure_Other(_host.text("".join(traceback.format_exception_only(error)).strip()))


def _print_trace(error: BaseException) -> None:
    """Writes where it was raised to the log, without the frames of this module."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == __name__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    for folder, name in _FOLDERS.items():
        text = text.replace(f'File "{folder}/', f'File "{name}/')
    sys.stderr.write(text)
