"""A real Ray cluster on this machine: nodes that join late, die, lack something, or fail every run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.fakes import rows

pytestmark = [
    pytest.mark.slow,
    # Ray's class for clusters on one machine leaves sockets and threads behind.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

SMALL = {"object_store_memory": 80 * 2**20}
LOOP = """
import os, time

def train(config, seed, state=None):
    if os.path.exists(".env") or not os.path.exists("cluster_loops.py"):
        raise RuntimeError("the current folder is not what should have been brought here")
    if os.environ.get("BROKEN_CARD"):
        raise RuntimeError(f"card {os.getpid()} fell off the bus")
    for epoch in range(1 if state is None else state["epoch"] + 1, config["budget"]["epochs"] + 1):
        time.sleep(config["custom"]["pause"])
        yield {"val/accuracy": config["optimizer"]["lr"] * epoch}, {"epoch": epoch}
"""
SPACE = """
kind: sweep
task: cluster_loops:train
metric: {name: val/accuracy, goal: maximize}
recipe: {budget: {epochs: 4}, custom: {pause: 0.2}}
search: {optimizer.lr: {loguniform: [1e-5, 1e-1]}}
sampler: {kind: random}
early_stopping: {kind: none}
checkpoint_every_s: 0.2
runs: 6
"""


@dataclass(frozen=True)
class Started:
    """A process and the file with its output."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Nodes:
    """A cluster whose head trains nothing, and `sweeps` commands that run in its folder."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        (self.work / "cluster_loops.py").write_text(LOOP)
        (self.work / "toy.yaml").write_text(SPACE)
        (self.work / ".env").write_text("TOKEN=secret")
        self.url = f"sqlite:///{folder / 'sweeps.db'}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            clients = free.getsockname()[1]
        head = {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": clients, **SMALL}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self.client = f"ray://127.0.0.1:{clients}"  # for drivers that are not on a node
        self._started: list[Started] = []

    def add(self, **arguments: object) -> object:
        return self._cluster.add_node(num_cpus=1, **SMALL, **arguments)

    def kill(self, node: object) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def add_blind(self, hidden: Path) -> None:
        """Add a node on which this folder is empty, as on a machine that does not share it."""
        hidden.mkdir(parents=True, exist_ok=True)
        start = f"ray start --address={self.address} --num-cpus=1 --object-store-memory={SMALL['object_store_memory']}"
        self._start(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {hidden} && exec {start} --block"], os.getcwd()
        )

    def sweep(self, *more: str) -> Started:
        return self.command("run", "toy.yaml", "--storage", self.url, "--address", self.address, *more)

    def command(self, *arguments: str) -> Started:
        return self._start([sys.executable, "-m", "sweeps.cli.app", *arguments], self.work)

    def _start(self, command: list[str], folder: str | Path) -> Started:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        told = self.folder / f"log-{len(self._started)}.txt"
        with told.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PATH": path, "PYTHONPATH": os.getcwd()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(Started(process, told))
        return self._started[-1]

    def end(self) -> None:
        for process in (started.process for started in self._started):
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._cluster.shutdown()

    def states(self) -> dict[str, int]:
        return dict(rows(self.url, "SELECT state, count(*) FROM run GROUP BY state"))

    def epochs(self) -> int:
        try:
            return int(rows(self.url, "SELECT count(*) FROM epoch_metric")[0][0])
        except Exception:  # noqa: BLE001  no table yet
            return 0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(tmp_path)
    yield found
    found.end()


def until(condition: Callable[[], bool], started: Started, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert started.process.poll() is None, started.text()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def finished(started: Started, seconds: float = 120) -> tuple[int, str]:
    return started.process.wait(seconds), started.text()


needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="hides folders by mounting, which only root may")


def test_a_sweep_waits_for_a_node_and_brings_its_task_there(cluster: Nodes) -> None:
    shared = cluster.folder / "shared"
    driver = cluster.sweep("--checkpoints", str(shared))
    # Not before: a node that joins during the check of another one would unpack the task again into the folder that
    # nodes on one machine share.
    until(lambda: "waiting for a node" in driver.text(), driver)
    if os.geteuid() == 0:
        cluster.add_blind(cluster.work)  # the task gets there only through Ray
    else:
        cluster.add()
    code, out = finished(driver)
    assert code == 0, out
    assert "waiting for a node: a run needs 1 CPU on one node, the cluster of 1 nodes has 0 CPU in total" in out
    assert "joined; room for 1 run at a time" in out
    assert cluster.states() == {"COMPLETE": 6}
    assert len(rows(cluster.url, "SELECT DISTINCT node FROM run")) == 1
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "sweeps.cli.app",
            "cluster",
            "--address",
            cluster.address,
            "--storage",
            cluster.url,
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(shown.stdout)
    assert [(node["lives"], node["resources"].get("CPU"), node["trained"]) for node in told if node["trained"]] == [
        (True, {"free": 1.0, "total": 1.0}, 6)
    ]
    assert len(told) == 2


def test_a_driver_that_is_not_on_a_node(cluster: Nodes) -> None:
    cluster.add()
    code, out = finished(cluster.sweep("--runs", "3", "--address", cluster.client))
    assert code == 0, out
    assert f"on Ray at {cluster.client}" in out
    assert cluster.states() == {"COMPLETE": 3}
    code, out = finished(cluster.command("cluster", "--address", cluster.client, "--storage", cluster.url, "--json"))
    assert code == 0, out
    assert sorted(node["trained"] for node in json.loads(out)) == [0, 3]


@needs_mounts
def test_a_node_that_cannot_read_the_checkpoints(cluster: Nodes) -> None:
    shared = cluster.folder / "shared"
    cluster.add()
    cluster.add_blind(shared)
    time.sleep(8)  # until it has joined
    code, out = finished(cluster.sweep("--checkpoints", str(shared)))
    assert code == 2, out
    [line] = [line for line in out.splitlines() if line.startswith("node ")]
    assert (
        f"it cannot read the checkpoints in {shared / 'toy'}: set --checkpoints to a folder that every node shares"
        in line
    )
    assert "Traceback" not in out


@needs_mounts
def test_a_later_node_that_cannot_read_the_checkpoints(cluster: Nodes) -> None:
    shared = cluster.folder / "shared"
    cluster.add()
    # Runs long enough for a worker to start on the new node before the old one is free again.
    driver = cluster.sweep("--checkpoints", str(shared), "--runs", "5", "--set", "custom.pause=2.5")
    until(lambda: cluster.epochs() > 1, driver)
    cluster.add_blind(shared)
    code, out = finished(driver)
    assert code == 0, out
    assert "no more runs on node" in out, out
    assert "cannot read the checkpoints" in out
    assert cluster.states() == {"COMPLETE": 5}
    assert len(rows(cluster.url, "SELECT DISTINCT node FROM run")) == 1


def test_a_node_on_which_every_run_fails_is_excluded(cluster: Nodes) -> None:
    cluster.add()
    cluster.add(env_vars={"BROKEN_CARD": "1"})
    # Runs long enough for the broken node's worker to start before the other one has trained them all.
    code, out = finished(cluster.sweep("--runs", "8", "--set", "custom.pause=1.5"))
    assert code == 0, out
    assert " runs in a row failed there, and not elsewhere: RuntimeError: card N fell off the bus" in out
    states = cluster.states()
    assert 3 <= states["FAILED"] <= 4  # one may have been assigned to it already
    assert states["COMPLETE"] == 8 - states["FAILED"]


def test_nodes_that_are_killed_and_added_again(cluster: Nodes) -> None:
    nodes = [cluster.add(), cluster.add()]
    driver = cluster.sweep("--set", "custom.pause=1.0")
    for _ in range(2):
        before = cluster.epochs()
        until(lambda before=before: cluster.epochs() > before + 1, driver)
        cluster.kill(nodes.pop(0))
        nodes.append(cluster.add())
    code, out = finished(driver)
    assert code == 0, out
    assert "is gone; room for" in out
    assert cluster.states() == {"COMPLETE": 6}
    assert rows(cluster.url, "SELECT count(*), max(epoch), min(epoch) FROM run") == [(6, 4, 4)]
    assert rows(cluster.url, "SELECT count(DISTINCT seq), min(seq), max(seq) FROM epoch_metric") == [(24, 0, 23)]


def test_a_head_node_that_is_killed(cluster: Nodes) -> None:
    cluster.add()
    driver = cluster.sweep("--set", "custom.pause=1.0")
    until(lambda: cluster.epochs() > 2, driver)
    cluster._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    code, out = finished(driver, 80)
    assert code == 1, out
    assert "is gone" in out
    assert "the same command continues" in out
    assert "RUNNING" not in cluster.states()
    assert rows(cluster.url, "SELECT lease_owner, written_by FROM sweep") == [(None, None)]
