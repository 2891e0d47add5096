"""The runner that trains runs as trials of Ray Tune.

Tune places trials and keeps their actors; it decides nothing. Its searcher gets jobs from the conductor; its scheduler
passes every step to the conductor and follows the answer. A run that ends frees its actor for the next one
(`reuse_actors`), so a worker imports torch and loads its data once. Tune's own state is discarded; the database is the
only record.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
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
from sweeps.engine.messages import Job, Step
from sweeps.runners.ray.connection import Lifeline, RayCluster
from sweeps.runners.ray.node_check import Expectation, lacks
from sweeps.runners.ray.nodes import bundle, capacity, check, lacking, nodes, selector
from sweeps.runners.ray.output_file import OutputFile, output_path, remove_outputs
from sweeps.runners.ray.trials import RayJobs
from sweeps.runners.worker import GpuLostError, Worker
from trainers.compute.cards import prepare_cuda

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

    from sweeps.engine.conductor import Conductor


class RayRunner:
    """Trains the jobs of a conductor as trials of Ray Tune.

    Args:
        cluster: Connection to Ray.
        resources: Resources of one run; a fraction of a GPU is possible.
        expected: What every node of a joined cluster must share with the driver; None for Ray on this machine.
        say: Prints a line for the user.
        ready: Called as soon as Ray is connected.
        gone: Called on another thread when the head node is unreachable; it ends the process.
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
        """Return when Ray is connected and every node can train.

        Raises:
            SweepError: Ray cannot be started or reached.
            UsageError: No node has room for a run, or nodes lack something.
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
            SweepError: Ray failed.
        """
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, self.slots))  # otherwise actors start one after another
        try:
            with _scratch() as folder, Lifeline(self._cluster.head, self._gone):
                jobs = RayJobs(conductor, self._resources, self._expected, self._say, Path(folder).name)
                _train(jobs, self._resources, folder)
                jobs.read_outputs()
        except (TuneError, RayError) as error:
            raise SweepError(f"Ray Tune failed: {error}") from error
        if not conductor.idle:
            raise SweepError("Ray Tune ended before the sweep")


def _train(jobs: RayJobs, resources: Resources, folder: str) -> None:
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors of runs are recorded, not logged
    if ray.util.client.ray.is_connected():  # a client has no session folder, which Tune needs
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
        max_failures=0,  # the conductor decides what is retried
        raise_on_failed_trial=False,
        checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        _remote=False,  # with `ray://`, too, Tune runs in this process
    )


def _place(resources: Resources, config: dict[str, Any]) -> PlacementGroupFactory:
    """Return where a trial may run: on nodes with the required labels that were not excluded when it was created."""
    labels = selector(resources, config["left_out"])
    options: dict[str, Any] = {"bundle_label_selector": [labels]} if labels else {}
    return PlacementGroupFactory([bundle(resources)], **options)


def _trial_name(trial: Trial) -> str:
    return str(trial.trial_id)


@contextmanager
def _scratch() -> Iterator[str]:
    """Yield a temporary folder for the files that Tune writes and nothing reads."""
    with tempfile.TemporaryDirectory(prefix="sweeps-tune-", ignore_cleanup_errors=True) as folder:
        try:
            yield folder
        finally:
            remove_outputs(Path(folder).name)


class RunTrainable(Trainable):
    """A worker inside a Tune actor."""

    def setup(self, config: dict[str, Any]) -> None:
        """Create the worker, once per actor, and check whether this node can train."""
        # Ray would raise SystemExit in the training, as if its code had: a node that shuts down does not fail a run.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._node = ray.get_runtime_context().get_node_id()
        logging.getLogger("ray.tune").setLevel(logging.ERROR)  # its advice would be in the output of the first run
        if config["job"]["command"] is None:
            prepare_cuda(config["job"]["gpu"])  # before the check of the node imports the code of the user
        self._output, self._name = OutputFile(), ""
        self._worker = Worker()
        # A node that joined later was not checked when the sweep started.
        self._lacks = () if config["expected"] is None else lacks(Expectation(**config["expected"]))
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next job, which begins with the first step: Tune may set up an actor for a trial and not use it.

        A command would otherwise run twice at the same time, in one folder.
        """
        self._worker.close()  # what the last run prints until then belongs to it
        left = self._output.end()
        self._left = None if left is None else (self._name, left)
        self._name = new_config["output"]
        self._waiting: Job | None = Job(**new_config["job"])
        return True

    def step(self) -> dict[str, Any]:
        """Train one step. It never reports `done`: Tune would end the trial without calling the scheduler."""
        found = {"node": self._node, "lacks": self._lacks, "left": self._left}
        self._left = None
        if self._lacks:
            return {"step": None, "output": None, **found}
        with _ending_without_gpu():
            if self._waiting is not None:
                self._output.begin(output_path(self._name))
                self._worker.start(self._waiting)
                self._waiting = None
            step = self._worker.step()
        return {"step": step, "output": self._output.news(may_end(step)), **found}

    def cleanup(self) -> None:
        """End the processes of the last job."""
        self._worker.close()
        self._output.end(keep=True)  # nothing can be returned any more


@contextmanager
def _ending_without_gpu() -> Iterator[None]:
    """End this process if it can no longer use its GPU, so that the run is tried again in another one."""
    try:
        yield
    except GpuLostError as error:
        sys.stderr.write(f"{error.step.error}\nthis process ends, since CUDA fails in it from now on\n")
        sys.stderr.flush()
        os._exit(1)


def may_end(step: Step) -> bool:
    """Return whether a run may end after this step."""
    last = step.reports[-1] if step.reports else None
    return step.finished or last is None or last.awaited or not last.finite


class _Watch(TrialProgressCallback):
    """Checks nodes and time limits between two events. It replaces the callback of Tune, which prints."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__(None)
        self._jobs = jobs

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._jobs.look(trials)

    def on_trial_result(self, *args: Any, **info: Any) -> None: ...

    def on_trial_error(self, *args: Any, **info: Any) -> None: ...

    def on_trial_complete(self, *args: Any, **info: Any) -> None: ...


class _Searcher(Searcher):
    """Gives Tune the jobs of the conductor as trials."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__()
        self._jobs = jobs

    def suggest(self, trial_id: str) -> Any:  # Ray's annotation leaves out FINISHED, a string
        config = self._jobs.next(trial_id)
        if config is not None:
            return config
        return Searcher.FINISHED if self._jobs.conductor.idle else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self._jobs.lost(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the database has everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class _Scheduler(FIFOScheduler):
    """Gives Tune the decisions of the conductor."""

    def __init__(self, jobs: RayJobs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # not annotated by Ray
        self._jobs = jobs

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        found = {name: result.pop(name) for name in ("step", "node", "lacks", "output", "left")}
        continues = self._jobs.report(trial.trial_id, found)
        return str(TrialScheduler.CONTINUE if continues else TrialScheduler.STOP)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        if not self._jobs.conductor.draining:
            return super().choose_trial_to_run(tune_controller)
        # Running trials stop after their step. Pending ones would keep Tune waiting for ever.
        for trial in list(tune_controller.get_live_trials()):
            if trial.status == Trial.PENDING:
                self._jobs.put_back(trial.trial_id)
                tune_controller.stop_trial(trial)
        return None
