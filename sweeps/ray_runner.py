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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
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
from sweeps.node_check import Expectation, lacks
from sweeps.quarantine import Quarantine
from sweeps.ray_cluster import Lifeline, RayCluster
from sweeps.ray_nodes import Node, bundle, capacity, check, dying, lacking, node_name, nodes, selector
from sweeps.worker import Job, Step, Worker

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

    from sweeps.conductor import Conductor

LOOK_EVERY_S = 2.0  # at the nodes, which come and go, and at the runs that may hang
DIED = "its process ended (killed, out of memory, or its node is gone)"


class RayRunner:
    """Trains the jobs of a conductor as trials of Ray Tune.

    Args:
        cluster: Where they are placed.
        resources: Of one run; a share of a GPU is possible.
        expected: What every node of a joined cluster must have in common with the driver.
        say: Tells the person at the keyboard a line.
        gone: Called on another thread when the head node is gone and Ray answers no more; it ends the process.
    """

    def __init__(
        self,
        cluster: RayCluster,
        resources: Resources,
        expected: Expectation | None = None,
        say: Callable[[str], None] = lambda text: None,
        gone: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._cluster = cluster
        self._resources = resources
        self._expected = expected
        self._say = say
        self._gone = gone
        self.slots = 1

    def start(self) -> None:
        """Return when Ray is there, and every node can train.

        Raises:
            SweepError: It cannot be started or reached.
            UsageError: No node can hold a run, or nodes lack something.
        """
        self._cluster.wait()
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
        jobs = _Jobs(conductor, self._resources, self._expected, self._say)
        try:
            with _scratch() as folder, Lifeline(self._cluster.head, self._gone):
                _train(jobs, self._resources, folder)
        except (TuneError, RayError) as error:
            raise SweepError(f"Ray Tune gave up: {error}") from error
        if not conductor.idle:
            raise SweepError("Ray Tune ended before the sweep did")


def _train(jobs: _Jobs, resources: Resources, folder: str) -> None:
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


class _Jobs:
    """Which trial of Tune trains which run, and on which node."""

    def __init__(
        self, conductor: Conductor, resources: Resources, expected: Expectation | None, say: Callable[[str], None]
    ) -> None:
        self.conductor = conductor
        self._resources = resources
        self._expected = None if expected is None else asdict(expected)
        self._say = say
        self._quarantine = Quarantine()
        self._numbers: dict[str, int] = {}
        self._nodes: dict[str, str] = {}  # trial -> id of the node where it was seen last
        self._heard: dict[str, float] = {}  # trial -> when
        self._names: dict[str, str] = {}  # of all nodes that were ever there
        self._there: dict[str, Node] = {}  # those that are, by their ids
        self._dying: set[str] = set()  # those that Ray believes to be there
        self._slots = 0
        self._looked_at = -LOOK_EVERY_S

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher and scheduler; nobody reads that

    def next(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of a new trial."""
        if len(self._numbers) >= max(1, self._slots):
            return None
        job = self.conductor.next_job(trial_id)
        if job is None:
            return None
        self._numbers[trial_id] = job.number
        return {"job": asdict(job), "expected": self._expected, "left_out": sorted(self._left_out())}

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Hand a step on; whether its trial goes on."""
        step: Step | None = result["step"]
        node = self._nodes[trial_id] = result["node"]
        self._heard[trial_id] = time.monotonic()
        if step is None:
            self._leave_out(node, "; ".join(result["lacks"]))
            self.conductor.put_back(self._numbers.pop(trial_id))
            return False
        goes_on = self.conductor.report(self._numbers[trial_id], step, self._name(node))
        if not goes_on:
            del self._numbers[trial_id]
        if step.error is not None:
            self._failed(node, step.error)
        elif step.reports:
            for other in self._quarantine.got_on(node):
                self._say_left_out(other)
        return goes_on

    def lost(self, trial_id: str) -> None:
        """The process of a trial ended, alone or with its node."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        self._dying = dying(self._there.values())
        node = self._nodes.get(trial_id)
        if self._dying if node is None else node in self._dying or node not in self._there:
            self.conductor.put_back(number)  # a run is not to blame for its node
            return
        self.conductor.lost(number, DIED)
        if node is not None:
            self._failed(node, DIED)

    def give_back(self, trial_id: str) -> None:
        """A trial that found no place will not be waited for."""
        number = self._numbers.pop(trial_id, None)
        if number is not None:
            self.conductor.put_back(number)

    def look(self, trials: list[Trial]) -> None:
        """See which nodes there are, and end the runs that are over their time."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        self._tell_of({node.id: node for node in nodes()})
        for trial in trials:
            if trial.status != Trial.RUNNING or trial.trial_id not in self._numbers:
                continue
            quiet_s = now - self._heard.setdefault(trial.trial_id, now)
            if self.conductor.expired(self._numbers[trial.trial_id], quiet_s):
                del self._numbers[trial.trial_id]
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)  # it may never answer again

    def _tell_of(self, there: dict[str, Node]) -> None:
        before, self._there = self._there, there
        self._dying = dying(there[node] for node in self._dying & there.keys())
        self._names |= {node.id: node.name for node in there.values()}
        self._slots = capacity(self._resources, there.values(), self._left_out())
        room = f"room for {self._slots} runs at a time"
        for one in before.keys() - there.keys():
            self._say(f"node {self._name(one)} is gone; {room}")
        for one in there.keys() - before.keys() if before else ():
            self._say(f"node {self._name(one)} joined; {room}")

    def _left_out(self) -> set[str]:
        able = [node.id for node in self._there.values() if capacity(self._resources, [node])]
        return self._quarantine.left_out(able) | self._dying

    def _name(self, node: str) -> str:
        return self._names.get(node, node_name("?", node))

    def _failed(self, node: str, error: str) -> None:
        if self._quarantine.failed(node, error):
            self._say_left_out(node)

    def _leave_out(self, node: str, reason: str) -> None:
        if self._quarantine.leave_out(node, reason):
            self._say_left_out(node)

    def _say_left_out(self, node: str) -> None:
        self._say(f"no more runs on node {self._name(node)}: {self._quarantine.reasons[node]}")


class _Watch(TrialProgressCallback):
    """Looks around between two events; in the place of the callback that Tune adds by itself, which prints."""

    def __init__(self, jobs: _Jobs) -> None:
        super().__init__(None)
        self._jobs = jobs

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._jobs.look(trials)

    def on_trial_result(self, *args: Any, **info: Any) -> None: ...

    def on_trial_error(self, *args: Any, **info: Any) -> None: ...

    def on_trial_complete(self, *args: Any, **info: Any) -> None: ...


class _Searcher(Searcher):
    """Tune's source of trials: the conductor's jobs."""

    def __init__(self, jobs: _Jobs) -> None:
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

    def __init__(self, jobs: _Jobs) -> None:
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
