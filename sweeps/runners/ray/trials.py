"""Which trial of Ray Tune trains which run of the conductor, on which node, and which nodes are left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray.tune.experiment import Trial

from search_spaces import Resources
from sweeps.engine.messages import Step
from sweeps.runners.ray.node_check import Expectation
from sweeps.runners.ray.nodes import Node, capacity, dying, node_name, nodes
from sweeps.runners.ray.quarantine import Quarantine

if TYPE_CHECKING:
    from sweeps.engine.conductor import Conductor

LOOK_EVERY_S = 2.0  # at the nodes, which come and go, and at the runs that may hang
DIED = "its process ended (killed, out of memory, or its node is gone)"


class RayJobs:
    """Which trial of Tune trains which run, and on which node.

    Args:
        conductor: Hands out the runs and decides on their steps.
        resources: Of one run.
        expected: What a node must have in common with the driver; None for nodes of this machine alone.
        say: Tells the person at the keyboard a line.
    """

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
