"""Facts about the run that the step belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from . import _host


@dataclass(frozen=True)
class RunInfo:
    """Where the step stands. Holds no secrets."""

    pipeline: str
    run: str
    run_number: int
    stage: str
    job: str
    step: str
    attempt: int
    matrix: dict[str, str]
    commit: str | None
    ref: str | None
    repository: str | None
    trigger: str


def get() -> RunInfo:
    """Tells where the step stands."""
    info = _host.interface("run_info").get()
    return RunInfo(
        pipeline=info.pipeline,
        run=info.run,
        run_number=info.run_number,
        stage=info.stage,
        job=info.job,
        step=info.step,
        attempt=info.attempt,
        matrix=dict(info.matrix),
        commit=info.commit,
        ref=info.ref,
        repository=info.repository,
        trigger=info.trigger,
    )
