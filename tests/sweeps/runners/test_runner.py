"""What the in-process runner does when its worker can no longer use the GPU."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sweeps.engine.conductor import Conductor
from sweeps.engine.messages import Job, Step
from sweeps.runners import runner as runner_module
from sweeps.runners.runner import InProcessRunner
from sweeps.runners.worker import GpuLostError, Worker

JOB = Job(4, "digits", {}, 0, (), "", 60.0, 1, 0)


class Jobs:
    """Stands in for a conductor with one job after another."""

    draining = False

    def __init__(self) -> None:
        self.reported: list[tuple[int, Step]] = []

    def next_job(self) -> Job:
        return JOB

    def report(self, number: int, step: Step) -> bool:
        self.reported.append((number, step))
        return step.error is None

    def record_output(self, number: int, text: str) -> None: ...


@pytest.mark.parametrize("method", ["start", "step"])
def test_the_run_has_failed_with_its_error_and_no_other_run_begins(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    failed = Step(error="CUDA error: device-side assert triggered")

    class Lost(Worker):
        def start(self, job: Job) -> None: ...

        def step(self) -> Step:
            return Step()

    def lose(*arguments: Any) -> None:
        raise GpuLostError(failed)

    monkeypatch.setattr(Lost, method, lose)
    monkeypatch.setattr(runner_module, "Worker", Lost)
    jobs = Jobs()
    with pytest.raises(GpuLostError, match="the same command continues the sweep"):
        InProcessRunner().run(cast(Conductor, jobs))
    assert jobs.reported == [(4, failed)]
