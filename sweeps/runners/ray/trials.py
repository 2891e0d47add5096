"""The mapping of Tune's trials to runs and nodes, and which nodes are excluded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray.tune.experiment import Trial

from search_spaces import Resources
from search_spaces.values import counted
from sweeps.engine.messages import Step
from sweeps.runners.ray.node_check import Expectation
from sweeps.runners.ray.nodes import Node, capacity, dying, node_name, nodes
from sweeps.runners.ray.output_file import output_path, read_output
from sweeps.runners.ray.quarantine import Quarantine

if TYPE_CHECKING:
    from sweeps.engine.conductor import Conductor

LOOK_EVERY_S = 2.0  # between two checks of the nodes and of runs that may hang
DIED = "its process ended without an error (killed, out of memory, os._exit, or its node is gone)"


class RayJobs:
    """Knows which trial of Tune trains which run, and on which node.

    Args:
        conductor: Provides the jobs and decides after each step.
        resources: Resources of one run.
        expected: What a node must share with the driver; None for Ray on this machine.
        say: Prints a line for the user.
        output: Start of the names of the files with the output of the workers, unique to the command.
    """

    def __init__(
        self,
        conductor: Conductor,
        resources: Resources,
        expected: Expectation | None,
        say: Callable[[str], None],
        output: str,
    ) -> None:
        self.conductor = conductor
        self._resources = resources
        self._expected = None if expected is None else asdict(expected)
        self._say = say
        self._output = output
        self._quarantine = Quarantine()
        self._numbers: dict[str, int] = {}
        self._printing: dict[int, str] = {}  # run -> name of the file with the output of its latest attempt
        self._nodes: dict[str, str] = {}  # trial -> id of the node that reported it last
        self._heard: dict[str, float] = {}  # trial -> time of its last report
        self._names: dict[str, str] = {}  # of all nodes that were ever seen
        self._there: dict[str, Node] = {}  # nodes that are alive, by id
        self._dying: set[str] = set()  # dead nodes that Ray still believes to be alive
        self._slots = 0
        self._looked_at = -LOOK_EVERY_S

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher and scheduler, but the pickles are never read

    def next(self, trial_id: str) -> dict[str, Any] | None:
        """Return the configuration of a new trial, or None when there is no job or no room."""
        if len(self._numbers) >= max(1, self._slots):
            return None
        job = self.conductor.next_job(trial_id)
        if job is None:
            return None
        self._numbers[trial_id] = job.number
        output = self._printing[job.number] = self._file(trial_id)
        parts = {"expected": self._expected, "left_out": sorted(self._left_out()), "output": output}
        return {"job": asdict(job), **parts}

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass a step to the conductor and return whether the trial continues."""
        step: Step | None = result["step"]
        node = self._nodes[trial_id] = result["node"]
        self._heard[trial_id] = time.monotonic()
        if result["left"] is not None:
            self._record_left(*result["left"])
        if step is None:
            self._leave_out(node, "; ".join(result["lacks"]))
            self.conductor.put_back(self._numbers.pop(trial_id))
            return False
        number = self._numbers[trial_id]
        if result["output"] is not None:
            self.conductor.record_output(number, result["output"])
        continues = self.conductor.report(number, step, self._name(node))
        if not continues:
            del self._numbers[trial_id]
            if result["output"] is None:
                self._read_output(trial_id, number)
        if step.error is not None:
            self._failed(node, step.error)
        elif step.reports:
            for other in self._quarantine.succeeded(node):
                self._say_left_out(other)
        return continues

    def lost(self, trial_id: str) -> None:
        """Handle the death of a trial's process, alone or with its node."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        self._read_output(trial_id, number)
        self._dying = dying(self._there.values())
        node = self._nodes.get(trial_id)
        if self._dying if node is None else node in self._dying or node not in self._there:
            self.conductor.put_back(number)  # the death of a node does not count against the run
            return
        self.conductor.lost(number, DIED)
        if node is not None:
            self._failed(node, DIED)

    def put_back(self, trial_id: str) -> None:
        """Return the run of a trial that found no room to the queue."""
        number = self._numbers.pop(trial_id, None)
        if number is not None:
            self.conductor.put_back(number)

    def look(self, trials: list[Trial]) -> None:
        """Check which nodes are alive, and end the runs that exceed their time limit."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        self._report_nodes({node.id: node for node in nodes()})
        for trial in trials:
            if trial.status != Trial.RUNNING or trial.trial_id not in self._numbers:
                continue
            quiet_s = now - self._heard.setdefault(trial.trial_id, now)
            if self.conductor.expired(self._numbers[trial.trial_id], quiet_s):
                self._read_output(trial.trial_id, self._numbers.pop(trial.trial_id))
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)  # it may hang

    def _file(self, trial_id: str) -> str:
        return f"{self._output}-{trial_id}"

    def _read_output(self, trial_id: str, number: int) -> None:
        """Record what a worker on this machine printed after its last report."""
        text = read_output(output_path(self._file(trial_id)))
        if text is not None:
            self.conductor.record_output(number, text)

    def _record_left(self, name: str, text: str) -> None:
        """Record what a run has printed after its last report, while it was stopped, unless it was started again."""
        for number, file in self._printing.items():
            if file == name:
                self.conductor.record_output(number, text)

    def read_outputs(self) -> None:
        """Record what the last run of each worker on this machine has printed while it was stopped."""
        for name in self._printing.values():
            text = read_output(output_path(name))
            if text is not None:
                self._record_left(name, text)

    def _report_nodes(self, there: dict[str, Node]) -> None:
        before, self._there = self._there, there
        self.conductor.nodes = len(there)
        self._dying = dying(there[node] for node in self._dying & there.keys())
        self._names |= {node.id: node.name for node in there.values()}
        self._slots = capacity(self._resources, there.values(), self._left_out())
        room = f"room for {counted(self._slots, 'run')} at a time"
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
