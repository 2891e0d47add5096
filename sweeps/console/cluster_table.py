"""The table of `sweeps cluster`: the nodes, their resources and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeps.run_state import RunState
from sweeps.store.records import RunRecord

if TYPE_CHECKING:
    from sweeps.runners.ray.nodes import Node

_FIRST = ("CPU", "GPU")  # shown before custom resources


@dataclass(frozen=True)
class NodeRow:
    """One node of a cluster.

    Attributes:
        name: Address and start of the id of the node; runs are recorded with this name.
        lives: Whether the node is in the cluster now; it may have left since it trained its runs.
        resources: Name of a resource -> (free amount, total amount).
        labels: Labels that the node was started with.
        training: Runs that train on the node now, such as ``finetune 17``.
        trained: Number of runs that ended on the node.
    """

    name: str
    lives: bool
    resources: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    training: tuple[str, ...] = ()
    trained: int = 0


def node_rows(
    found: Sequence[Node], free: Mapping[str, Mapping[str, float]], runs: Mapping[str, Sequence[RunRecord]]
) -> list[NodeRow]:
    """Return every node of the cluster, and every other node with recorded runs.

    Args:
        found: Nodes of the cluster.
        free: Node id -> free resources.
        runs: Name of a sweep -> its runs.
    """
    training: dict[str, list[str]] = {}
    trained: dict[str, int] = {}
    for sweep, run in ((sweep, run) for sweep, its_runs in runs.items() for run in its_runs):
        if run.node is None:
            continue
        if run.state is RunState.RUNNING:
            training.setdefault(run.node, []).append(f"{sweep} {run.number}")
        trained[run.node] = trained.get(run.node, 0) + run.state.finished
    rows = [
        NodeRow(
            node.name,
            True,
            {name: (free.get(node.id, {}).get(name, 0.0), total) for name, total in _resources(node.resources).items()},
            {name: value for name, value in node.labels.items() if not name.startswith("ray.io/node-")},
            tuple(training.get(node.name, ())),
            trained.get(node.name, 0),
        )
        for node in sorted(found, key=lambda node: node.name)
    ]
    gone = sorted({*training, *trained} - {row.name for row in rows})
    return rows + [NodeRow(name, False, training=tuple(training.get(name, ())), trained=trained[name]) for name in gone]


def _resources(resources: Mapping[str, float]) -> dict[str, float]:
    """Return CPUs, GPUs and custom resources, without memory and the resources that Ray adds."""
    own = {name: total for name, total in resources.items() if name.isidentifier() and "memory" not in name}
    return {name: own[name] for name in (*_FIRST, *sorted(own.keys() - set(_FIRST))) if name in own}


def node_data(row: NodeRow) -> dict[str, Any]:
    """Return the JSON data of one node for `sweeps cluster`."""
    return {
        "node": row.name,
        "lives": row.lives,
        "resources": {name: {"free": free, "total": total} for name, (free, total) in row.resources.items()},
        "labels": dict(row.labels),
        "training": list(row.training),
        "trained": row.trained,
    }


def print_nodes(rows: Sequence[NodeRow], console: Console) -> None:
    """Print the table of `sweeps cluster`."""
    table = Table(box=None, pad_edge=False)
    for title in ("node", "free of all", "labels", "trains now", "trained"):
        table.add_column(title)
    for row in rows:
        amounts = ", ".join(f"{free:g} of {total:g} {name}" for name, (free, total) in row.resources.items())
        labels = ", ".join(f"{name}={value}" for name, value in row.labels.items())
        where = amounts if row.lives else "gone"
        table.add_row(row.name, where or "no room", Text(labels), Text(", ".join(row.training)), str(row.trained))
    console.print(table)
