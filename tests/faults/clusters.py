"""Clusters that lose nodes: several Ray nodes on this machine, and a sweep that joins them.

The trials depend on these properties of Ray:

- Both sides need `RAY_AUTH_MODE=token` and the same token, in `RAY_AUTH_TOKEN` or `~/.ray/auth_token`. Without them, a
  cluster of `ray.cluster_utils` accepts every connection. A driver without the mode cannot join `host:port` if a token
  is required, even if the token file exists: Ray reads the file by itself only for `auto`.
- The processes of a node inherit the environment of the process that starts it, including the workers' search path.
- A cluster writes its address under `RAY_TMPDIR`, and every later `ray.init()` on this machine joins it, or fails if it
  is gone. So these clusters have their own folder, with a short path, because it contains sockets.
- A driver on the machine of the head joins through the head, whichever other node is killed.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from typing import Any

import spaces
from command import MARK, Command, search_path
from kills import Trial, recorded, until
from stage import Stage, fault

TOKEN = secrets.token_hex(32)  # only one: a process reads it once
STORE_BYTES = 100 * 2**20
DEAD_WITHIN_S = 150  # from the death of the head to the driver's exit code


def environment(folder: str) -> dict[str, str]:
    """Return the environment of the nodes and the driver."""
    return {
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": search_path(),
    }


class Nodes:
    """A head without CPUs, and nodes of one CPU each."""

    def __init__(self, stage: Stage, count: int) -> None:
        from ray.cluster_utils import Cluster

        store = {"object_store_memory": STORE_BYTES}
        self._node = {"num_cpus": 1, **store}
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store}
        )
        stage.stack.callback(self.kill_all)
        self.address = str(self._cluster.address)
        self.nodes: list[Any] = [self._cluster.add_node(**self._node) for _ in range(count)]

    def kill(self, index: int) -> None:
        """Kill all processes of a node with SIGKILL."""
        self._cluster.remove_node(self.nodes.pop(index), allow_graceful=False)

    def add(self) -> None:
        """Add a node."""
        self.nodes.append(self._cluster.add_node(**self._node))

    def kill_all(self) -> None:
        """Kill the head and then all nodes, so that the cluster disappears at once."""
        head = self._cluster.head_node
        if head is not None:
            self._cluster.global_state.disconnect()
            self._cluster.remove_node(head, allow_graceful=False)
        while self.nodes:
            self.kill(0)


class Surroundings:
    """Changes the environment of this process, which the nodes inherit, until it is closed."""

    def __init__(self, stage: Stage) -> None:
        folder = stage.stack.enter_context(tempfile.TemporaryDirectory(prefix="fc-", ignore_cleanup_errors=True))
        self.values = environment(folder)
        self._nodes = Command([], stage.folder, stage.folder / "nodes.txt")  # no command, but every node has its mark
        self._before = dict(os.environ)
        os.environ.update({**self.values, MARK: self._nodes.mark})
        stage.stack.callback(self.close)

    def close(self) -> None:
        """Restore the environment, and end the agents of the nodes, which search for the head for another minute."""
        os.environ.clear()
        os.environ.update(self._before)
        self._nodes.end()


def _joined(trial: Trial, nodes: Nodes) -> None:
    """Set the address of the cluster in the command of a trial."""
    words = trial.command.arguments
    place = words.index("--address")
    trial.command.arguments = [*words[: place + 1], nodes.address, *words[place + 2 :]]


def _sweep(stage: Stage, nodes: Nodes, values: dict[str, str]) -> tuple[Trial, Any]:
    space, rule = spaces.real(*((32, 27, 1) if stage.count > 2 else (16, 27, 2)))
    trial = stage.sweep(space, "--address", nodes.address, ray=True, environment=values)
    trial.late_s = 4.0
    return trial, rule


@fault(
    "node-killed",
    "one of three nodes of a Ray cluster is killed and another one added, repeatedly in one sweep",
    6,
    2,
)
def node_killed(stage: Stage) -> None:
    values = Surroundings(stage).values
    nodes = Nodes(stage, 3)
    trial, rule = _sweep(stage, nodes, values)
    process = trial.under_way(3)
    while stage.injected < stage.count:
        if trial.wait(process, stage.rng.uniform(1.0, trial.late_s)):
            break
        trial.look()
        nodes.kill(stage.rng.randrange(len(nodes.nodes)))
        stage.injected += 1
        trial.deaths["node killed"] += 1
        trial.say(f"killed a node, {len(nodes.nodes)} remain")
        trial.wait_for_epochs(process, recorded(trial.url) + 2)  # on the remaining nodes
        nodes.add()
        trial.wait_for_epochs(process, recorded(trial.url) + 2)
        trial.look()
    stage.code(trial.finish(process, 1200), 0, trial)
    stage.says(trial)
    stage.whole(trial, rule, again=3)


@fault(
    "head-killed", "the head of a Ray cluster and all its nodes are killed; the sweep then joins a new cluster", 2, 1
)
def head_killed(stage: Stage) -> None:
    values = Surroundings(stage).values
    nodes = Nodes(stage, 2)
    trial, rule = _sweep(stage, nodes, values)
    while stage.injected < stage.count:
        process = trial.under_way(4)
        trial.look()
        nodes.kill_all()
        began = time.monotonic()
        until(lambda life=process: life.poll() is not None, DEAD_WITHIN_S + 60, "the driver ends")
        took = time.monotonic() - began
        trial.look()
        stage.injected += 1
        trial.deaths["head killed"] += 1
        trial.say(f"the driver ended with {process.returncode} after {took:.0f} s")
        stage.code(process.returncode, 1, trial, "the driver of a cluster that is gone")
        stage.check(
            f"the driver ends within {DEAD_WITHIN_S} s",
            [] if took <= DEAD_WITHIN_S else [f"{took:.0f} s"],
            f"{took:.0f} s",
        )
        stage.nothing_runs(trial, "the death of its cluster")
        last = trial.command.said().strip().splitlines()[-3:]
        stage.check(
            "it says that the same command continues",
            [] if "the same command continues" in " ".join(last) else [str(last)[:400]],
        )
        stage.no_process_left()
        nodes = Nodes(stage, 2)
        _joined(trial, nodes)
    stage.code(trial.finish(timeout=1200), 0, trial, "the same command, with the address of a new cluster,")
    stage.says(trial)
    stage.whole(trial, rule, again=3)


@fault("another-cluster", "another Ray cluster runs on this machine; the sweep has no --address", 2, 1)
def another_cluster(stage: Stage) -> None:
    values = Surroundings(stage).values
    nodes = Nodes(stage, 1)
    while stage.injected < stage.count:
        name = f"toy{stage.injected}"
        space, rule = spaces.loop(runs=4, epochs=4)
        trial = stage.sweep(space, ray=True, name=name, environment=values)
        code = trial.finish(timeout=120)
        stage.injected += 1
        stage.code(code, 0, trial, "the sweep")
        stage.check("it does not join", [] if nodes.address not in trial.command.said() else [trial.tail()])
        stage.whole(trial, rule, name, again=1)
