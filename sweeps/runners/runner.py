"""The contract of a runner, which trains the jobs of a conductor, and the runner in this process."""

from typing import Protocol

from sweeps.engine.conductor import Conductor
from sweeps.engine.messages import Job
from sweeps.output_tail import OutputTail
from sweeps.runners.output_tee import OutputTee
from sweeps.runners.worker import GpuLostError, Worker


class Runner(Protocol):
    """Trains the jobs of a conductor.

    Every implementation passes tests/contracts/test_runner_contract.py.
    """

    @property
    def slots(self) -> int:
        """Return the number of runs that train at the same time."""

    def start(self) -> None:
        """Return when runs can be trained.

        Raises:
            SweepError: Runs cannot be trained.
            UsageError: Runs cannot be trained until the user fixes something.
        """

    def run(self, conductor: Conductor) -> None:
        """Return when the conductor is idle.

        Raises:
            SweepError: The sweep cannot continue.
        """


class InProcessRunner:
    """Trains one run at a time in this process; for debugging, for tests, and as the simplest example of a runner.

    Code that ends the process, by `os._exit` or a signal, ends the driver.
    """

    slots = 1

    def start(self) -> None:
        """Return at once: this process is ready."""

    def run(self, conductor: Conductor) -> None:
        """Train one job after another until none is left."""
        with OutputTee() as tee:
            # The first Ctrl-C drains, the second one raises. What a command prints would hide the live view.
            worker = Worker(interrupted=lambda: conductor.draining, keep=tee.keep)
            try:
                while (job := conductor.next_job()) is not None:
                    self._train(job, worker, conductor, tee)
            finally:
                worker.close()

    def _train(self, job: Job, worker: Worker, conductor: Conductor, tee: OutputTee) -> None:
        try:
            self._steps(job, worker, conductor, tee)
        except GpuLostError as error:
            conductor.report(job.number, error.step)
            raise

    def _steps(self, job: Job, worker: Worker, conductor: Conductor, tee: OutputTee) -> None:
        tail, continues = OutputTail(), True
        with tee.keeping(tail):
            worker.start(job)
        while continues:
            with tee.keeping(tail):
                step = worker.step()
            continues = conductor.report(job.number, step)
            if not continues:
                with tee.keeping(tail):  # a command prints until it is stopped
                    worker.close()
            if (text := tail.news(at_once=not continues)) is not None:
                conductor.record_output(job.number, text)
