"""A sweep's runs as trials of Ray Tune.

Tune places trials and keeps their actors; it decides nothing. Its searcher asks the conductor for jobs, its scheduler
hands the conductor every step and obeys. A run that ends frees its actor for the next one (`reuse_actors`), so a worker
imports torch and loads its data once. Tune's own state is thrown away: the database is the truth.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.train._internal import storage
from ray.tune import CheckpointConfig, Trainable, TuneError, with_resources
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search_spaces import Resources, SweepError, UsageError
from sweeps.engine.messages import Job
from sweeps.runners.ray.connection import Lifeline, RayCluster
from sweeps.runners.ray.node_check import Expectation, lacks
from sweeps.runners.ray.nodes import bundle, capacity, check, lacking, nodes, selector
from sweeps.runners.ray.trials import RayJobs
from sweeps.runners.worker import Worker

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

    from sweeps.engine.conductor import Conductor


class RayRunner:
    """Trains the jobs of a conductor as trials of Ray Tune.

    Args:
        cluster: Where they are placed.
        resources: Of one run; a share of a GPU is possible.
        expected: What every node of a joined cluster must have in common with the driver.
        say: Tells the person at the keyboard a line.
        ready: Called when Ray is there, before anything is asked of it.
        gone: Called on another thread when the head node is gone and Ray answers no more; it ends the process.
    """

    def __init__(
        self,
        cluster: RayCluster,
        resources: Resources,
        expected: Expectation | None = None,
        say: Callable[[str], None] = lambda text: None,
        ready: Callable[[], None] = lambda: None,
        gone: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._cluster = cluster
        self._resources = resources
        self._expected = expected
        self._say = say
        self._ready = ready
        self._gone = gone
        self.slots = 1

    def start(self) -> None:
        """Return when Ray is there, and every node can train.

        Raises:
            SweepError: It cannot be started or reached.
            UsageError: No node can hold a run, or nodes lack something.
        """
        self._cluster.wait()
        self._ready()
        found = nodes()
        if self._expected is not None and (problems := check(self._expected, found, self._say)):
            raise UsageError(*problems)
        self.slots = capacity(self._resources, found)
        if self.slots:
            return
        why = lacking(self._resources, found)
        if not self._cluster.joined:
            raise UsageError(f"resources: {why}: lower `resources` in the space file")
        self._say(f"waiting for a node: {why}")

    def run(self, conductor: Conductor) -> None:
        """Train until the conductor is idle.

        Raises:
            SweepError: Ray gives up.
        """
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, self.slots))  # else actors start one after the other
        jobs = RayJobs(conductor, self._resources, self._expected, self._say)
        try:
            with _scratch() as folder, Lifeline(self._cluster.head, self._gone):
                _train(jobs, self._resources, folder)
        except (TuneError, RayError) as error:
            raise SweepError(f"Ray Tune gave up: {error}") from error
        if not conductor.idle:
            raise SweepError("Ray Tune ended before the sweep did")


def _train(jobs: RayJobs, resources: Resources, folder: str) -> None:
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors of runs are recorded, not logged
    if ray.util.client.ray.is_connected():  # Tune asks this process for the folder of its node, and it has none
        vars(storage)["_get_ray_train_session_dir"] = lambda: folder
    tune.run(
        with_resources(RunTrainable, partial(_place, resources)),
        search_alg=_Searcher(jobs),
        scheduler=_Scheduler(jobs),
        num_samples=-1,
        reuse_actors=True,
        trial_name_creator=_trial_name,
        trial_dirname_creator=_trial_name,
        name="runs",
        storage_path=folder,
        verbose=0,
        callbacks=[_Watch(jobs)],
        max_failures=0,  # the conductor decides what is tried again
        raise_on_failed_trial=False,
        checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        _remote=False,  # with `ray://`, too, this process decides
    )


def _place(resources: Resources, config: dict[str, Any]) -> PlacementGroupFactory:
    """Where a trial may run: on nodes with the right labels that were not left out when it was handed out."""
    labels = selector(resources, config["left_out"])
    options: dict[str, Any] = {"bundle_label_selector": [labels]} if labels else {}
    return PlacementGroupFactory([bundle(resources)], **options)


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
        """Make the worker, once per actor, unless this node cannot train."""
        self._node = ray.get_runtime_context().get_node_id()
        self._worker = Worker()
        # A node that joined later was not asked when the sweep started.
        self._lacks = () if config["expected"] is None else lacks(Expectation(**config["expected"]))
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next job with the same worker."""
        if not self._lacks:
            self._worker.start(Job(**new_config["job"]))
        return True

    def step(self) -> dict[str, Any]:
        """Never says `done`: Tune would end the trial without asking the scheduler."""
        step = None if self._lacks else self._worker.step()
        return {"step": step, "node": self._node, "lacks": self._lacks}

    def cleanup(self) -> None:
        """End what the last job left running."""
        self._worker.close()


class _Watch(TrialProgressCallback):
    """Looks around between two events; in the place of the callback that Tune adds by itself, which prints."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__(None)
        self._jobs = jobs

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._jobs.look(trials)

    def on_trial_result(self, *args: Any, **info: Any) -> None: ...

    def on_trial_error(self, *args: Any, **info: Any) -> None: ...

    def on_trial_complete(self, *args: Any, **info: Any) -> None: ...


class _Searcher(Searcher):
    """Tune's source of trials: the conductor's jobs."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__()
        self._jobs = jobs

    def suggest(self, trial_id: str) -> Any:  # Ray's own annotation leaves FINISHED, a text, out
        config = self._jobs.next(trial_id)
        if config is not None:
            return config
        return Searcher.FINISHED if self._jobs.conductor.idle else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self._jobs.lost(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the database has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _Scheduler(FIFOScheduler):
    """Tune's judge of trials: the conductor's answer."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it without annotations
        self._jobs = jobs

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        found = {name: result.pop(name) for name in ("step", "node", "lacks")}
        goes_on = self._jobs.report(trial.trial_id, found)
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
