"""Which runs fit on which nodes; the nodes themselves are tested in test_cluster.py."""

from __future__ import annotations

import pytest

from search_spaces import Resources
from sweeps.console.cluster_table import node_data, node_rows
from sweeps.run_state import RunState
from sweeps.runners.ray.nodes import NODE_ID, Node, bundle, capacity, lacking, matches, selector
from tests.fakes import snapshot_of

CPU4 = Node("aa" * 28, "10.0.0.1", 1, {"CPU": 4.0, "memory": 1e9, "node:10.0.0.1": 1.0}, {"rack": "left"})
GPU2 = Node("bb" * 28, "10.0.0.2", 1, {"CPU": 8.0, "GPU": 2.0, "disks": 3.0}, {"rack": "right"})


@pytest.mark.parametrize(
    ("resources", "fit"),
    [
        (Resources(cpu=1), 12),
        (Resources(cpu=3), 3),
        (Resources(cpu=1, gpu=0.1), 8),
        (Resources(cpu=0.1, gpu=0.1), 20),  # 2 / 0.1 must not come out below 20
        (Resources(cpu=1, gpu=2), 1),
        (Resources(cpu=1, gpu=4), 0),
        (Resources(cpu=1, custom={"disks": 1.5}), 2),
        (Resources(cpu=1, labels={"rack": "left"}), 4),
        (Resources(cpu=1, labels={"rack": "!left"}), 8),
        (Resources(cpu=1, labels={"rack": "in(left,right)"}), 12),
        (Resources(cpu=1, labels={"floor": "1"}), 0),
    ],
)
def test_how_many_runs_fit(resources: Resources, fit: int) -> None:
    assert capacity(resources, [CPU4, GPU2]) == fit


def test_nodes_that_are_left_out_hold_nothing() -> None:
    assert capacity(Resources(cpu=1), [CPU4, GPU2], [GPU2.id]) == 4


@pytest.mark.parametrize(
    ("wanted", "label", "does"),
    [
        ("a", "a", True),
        ("a", None, False),
        ("!a", None, True),
        ("!a", "a", False),
        ("in(a,b)", "b", True),
        ("in(a,b)", "c", False),
        ("!in(a,b)", "c", True),
        ("!in(a,b)", "a", False),
    ],
)
def test_selectors(wanted: str, label: str | None, does: bool) -> None:
    assert matches(wanted, label) is does


def test_what_is_asked_of_ray() -> None:
    resources = Resources(cpu=2, gpu=0.5, custom={"disks": 1}, labels={"rack": "left"})
    assert bundle(resources) == {"CPU": 2, "GPU": 0.5, "disks": 1}
    assert selector(resources, []) == {"rack": "left"}
    assert selector(Resources(), ["b", "a"]) == {NODE_ID: "!in(a,b)"}
    assert selector(Resources(), []) == {}


def test_why_nothing_fits() -> None:
    line = lacking(Resources(cpu=1, gpu=4, labels={"rack": "left"}), [CPU4, GPU2])
    assert line == (
        "a run needs 1 CPU and 4 GPU on one node with rack: left, the cluster of 2 nodes has 12 CPU and 2 GPU in total"
    )


def test_the_rows_of_the_cluster() -> None:
    runs = {
        "a": [snapshot_of(0, node=CPU4.name), snapshot_of(1, RunState.RUNNING, node=CPU4.name)],
        "b": [snapshot_of(7, RunState.STOPPED, node="10.0.0.9/cccccccc"), snapshot_of(8, RunState.INTERRUPTED)],
    }
    first, second, gone = node_rows([GPU2, CPU4], {CPU4.id: {"CPU": 3.0}, GPU2.id: {"CPU": 8.0, "GPU": 2.0}}, runs)
    assert node_data(first) == {
        "node": "10.0.0.1/aaaaaaaa",
        "lives": True,
        "resources": {"CPU": {"free": 3.0, "total": 4.0}},
        "labels": {"rack": "left"},
        "training": ["a 1"],
        "trained": 1,
    }
    assert second.resources == {"CPU": (8.0, 8.0), "GPU": (2.0, 2.0), "disks": (0.0, 3.0)}
    assert (gone.name, gone.lives, gone.trained) == ("10.0.0.9/cccccccc", False, 1)
