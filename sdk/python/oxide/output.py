"""Results for people beside the typed outputs."""

from __future__ import annotations

from typing import Literal

from . import _host

Severity = Literal["notice", "warning", "error"]


def annotate(message: str, *, severity: Severity = "warning", file: str | None = None, line: int | None = None) -> None:
    """Records a remark on a place in the source. A step may record 1,000."""
    output = _host.interface("output")
    kind = output.Severity[severity.upper()]
    place = None if file is None else _host.text(file)
    output.annotate(output.Annotation(file=place, line=line, severity=kind, message=_host.text(message)))


def summary(markdown: str) -> None:
    """Appends markdown to the summary of the step, which holds 1 MiB."""
    _host.call(_host.interface("output").add_summary, _host.text(markdown))
