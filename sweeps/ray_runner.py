"""A sweep's runs as trials of Ray Tune.

Tune places trials and keeps their actors; it decides nothing. Its searcher asks the conductor for jobs, its scheduler
hands the conductor every step and obeys. A run that ends frees its actor for the next one (`reuse_actors`), so a worker
imports torch and loads its data once. Tune's own state is thrown away: the database is the truth.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError
from ray.tune import (
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    Trainable,
    TuneConfig,
    TuneError,
    Tuner,
    with_resources,
)
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search_spaces import Resources, SweepError, UsageError
from sweeps.ray_cluster import RayCluster, capacity, lacking
from sweeps.worker import Job, Step, Worker

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

    from sweeps.conductor import Conductor

CAPACITY_EVERY_S = 2.0  # nodes come and go


class RayRunner:
    """Trains the jobs of a conductor as trials of Ray Tune.

    Args:
        cluster: Where they are placed.
        resources: Of one run; a share of a GPU is possible.
    """

    def __init__(self, cluster: RayCluster, resources: Resources) -> None:
        self._cluster = cluster
        self._resources = resources
        self.slots = 1

    def start(self) -> None:
        """Return when Ray is there.

        Raises:
            SweepError: It cannot be started or reached.
            UsageError: No node can hold a run.
        """
        self._cluster.wait()
        self.slots = capacity(self._resources)
        if self.slots == 0:
            raise UsageError(f"resources: {lacking(self._resources)}")

    def run(self, conductor: Conductor) -> None:
        """Train until the conductor is idle.

        Raises:
            SweepError: Ray gives up.
        """
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(self.slots)  # else actors start one after the other
        jobs = _Jobs(conductor, self._resources)
        try:
            with _scratch() as folder:
                _tuner(jobs, self._resources, folder).fit()
        except (TuneError, RayError) as error:
            raise SweepError(f"Ray Tune gave up: {error}") from error
        if not conductor.idle:
            raise SweepError("Ray Tune ended before the sweep did")


def _tuner(jobs: _Jobs, resources: Resources, folder: str) -> Tuner:
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors of runs are recorded, not logged
    bundle = {"CPU": resources.cpu, "GPU": resources.gpu}
    return Tuner(
        with_resources(RunTrainable, PlacementGroupFactory([bundle])),
        tune_config=TuneConfig(
            search_alg=_Searcher(jobs),
            scheduler=_Scheduler(jobs),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=RunConfig(
            name="runs",
            storage_path=folder,
            verbose=0,
            callbacks=[_Silence()],
            failure_config=FailureConfig(max_failures=0),  # the conductor decides what is tried again
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )


def _trial_name(trial: Trial) -> str:
    return str(trial.trial_id)


@contextmanager
def _scratch() -> Iterator[str]:
    """Where Tune writes what nobody reads."""
    with tempfile.TemporaryDirectory(prefix="sweeps-tune-", ignore_cleanup_errors=True) as folder:
        yield folder


class RunTrainable(Trainable):
    """A worker inside a Tune actor."""

    def setup(self, config: dict[str, Any]) -> None:
        """Make the worker, once per actor."""
        self._worker = Worker()
        self._worker.start(Job(**config["job"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next job with the same worker."""
        self._worker.start(Job(**new_config["job"]))
        return True

    def step(self) -> dict[str, Any]:
        """Never says `done`: Tune would end the trial without asking the scheduler."""
        return {"step": self._worker.step()}

    def cleanup(self) -> None:
        """End what the last job left running."""
        self._worker.close()


class _Jobs:
    """Which trial of Tune trains which run."""

    def __init__(self, conductor: Conductor, resources: Resources) -> None:
        self.conductor = conductor
        self._resources = resources
        self._numbers: dict[str, int] = {}
        self._slots = capacity(resources)
        self._counted_at = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher and scheduler; nobody reads that

    def next(self, trial_id: str) -> Job | None:
        if len(self._numbers) >= self._room():
            return None
        job = self.conductor.next_job(trial_id)
        if job is not None:
            self._numbers[trial_id] = job.number
        return job

    def report(self, trial_id: str, step: Step) -> bool:
        goes_on = self.conductor.report(self._numbers[trial_id], step)
        if not goes_on:
            del self._numbers[trial_id]
        return goes_on

    def lost(self, trial_id: str, reason: str) -> None:
        number = self._numbers.pop(trial_id, None)
        if number is not None:
            self.conductor.lost(number, reason)

    def give_back(self, trial_id: str) -> None:
        number = self._numbers.pop(trial_id, None)
        if number is not None:
            self.conductor.give_back(number)

    def _room(self) -> int:
        if time.monotonic() - self._counted_at > CAPACITY_EVERY_S:
            self._slots, self._counted_at = capacity(self._resources), time.monotonic()
        return max(1, self._slots)


class _Silence(TrialProgressCallback):
    """In the place of the callback that Tune adds by itself, which prints whatever the verbosity."""

    def on_trial_result(self, *args: Any, **info: Any) -> None: ...

    def on_trial_error(self, *args: Any, **info: Any) -> None: ...

    def on_trial_complete(self, *args: Any, **info: Any) -> None: ...


class _Searcher(Searcher):
    """Tune's source of trials: the conductor's jobs."""

    def __init__(self, jobs: _Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    def suggest(self, trial_id: str) -> Any:  # Ray's own annotation leaves FINISHED, a text, out
        job = self._jobs.next(trial_id)
        if job is not None:
            return {"job": asdict(job)}
        return Searcher.FINISHED if self._jobs.conductor.idle else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self._jobs.lost(trial_id, "its process ended (killed, out of memory, or its node is gone)")

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the database has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _Scheduler(FIFOScheduler):
    """Tune's judge of trials: the conductor's answer."""

    def __init__(self, jobs: _Jobs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it without annotations
        self._jobs = jobs

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        step: Step = result.pop("step")
        goes_on = self._jobs.report(trial.trial_id, step)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        if not self._jobs.conductor.draining:
            return super().choose_trial_to_run(tune_controller)
        # Runs that train end with their step; those that still wait for a place would be waited for without end.
        for trial in list(tune_controller.get_live_trials()):
            if trial.status == Trial.PENDING:
                self._jobs.give_back(trial.trial_id)
                tune_controller.stop_trial(trial)
        return None
