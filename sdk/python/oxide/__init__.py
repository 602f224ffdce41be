"""Write plugins for Oxide CI in Python.

A plugin is a function ``run`` in ``src/plugin.py``. What it raises becomes the failure of the step::

    from oxide import Failure, log
    from wit_world import Inputs, Outputs


    def run(inputs: Inputs) -> Outputs:
        if inputs.name == "":
            raise Failure("there is nobody to greet")
        log.info("greeting")
        return Outputs(f"Hello, {inputs.name}!")

``wit_world`` is made from ``wit/world.wit``. Each of ``workspace``, ``cache``, ``artifacts``, ``secrets``, ``git``,
``containers``, ``http``, and ``run`` for ``environment``, is a capability; it works if the world imports it. ``log``,
``annotate``, ``summary`` and ``run_info`` work in every plugin.
"""

from . import artifacts, cache, containers, git, http, log, run_info, secrets, workspace
from .command import CommandFailed, Completed, Process, find_program, run, start, workspace_path
from .failure import (
    Denied,
    ExitCode,
    Failure,
    HostError,
    InvalidArgument,
    InvalidInput,
    LimitReached,
    MissingImport,
    NotFound,
)
from .output import annotate, summary

__all__ = [
    "CommandFailed",
    "Completed",
    "Denied",
    "ExitCode",
    "Failure",
    "HostError",
    "InvalidArgument",
    "InvalidInput",
    "LimitReached",
    "MissingImport",
    "NotFound",
    "Process",
    "annotate",
    "artifacts",
    "cache",
    "containers",
    "find_program",
    "git",
    "http",
    "log",
    "run",
    "run_info",
    "secrets",
    "start",
    "summary",
    "workspace",
    "workspace_path",
]
