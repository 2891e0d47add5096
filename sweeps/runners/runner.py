"""Who trains the jobs that the conductor hands out: this process, or Ray (ray_runner.py)."""

from __future__ import annotations

from typing import Protocol

from sweeps.engine.conductor import Conductor
from sweeps.runners.worker import Worker


class Runner(Protocol):
    """Trains whatever a conductor hands out.

    Every implementation passes tests/contracts/test_runner_contract.py.
    """

    @property
    def slots(self) -> int:
        """How many runs train at the same time."""

    def start(self) -> None:
        """Return when runs can be trained.

        Raises:
            SweepError: They cannot.
            UsageError: They cannot, and it can be mended.
        """

    def run(self, conductor: Conductor) -> None:
        """Return when the conductor is idle.

        Raises:
            SweepError: The sweep cannot go on.
        """


class InProcessRunner:
    """One run at a time in this process: for a debugger, for tests, and to read how a runner works."""

    slots = 1

    def start(self) -> None:
        """There is nothing to wait for."""

    def run(self, conductor: Conductor) -> None:
        """Train job after job until none is left."""
        worker = Worker()
        try:
            while (job := conductor.next_job()) is not None:
                worker.start(job)
                while conductor.report(job.number, worker.step()):
                    pass
        finally:
            worker.close()
