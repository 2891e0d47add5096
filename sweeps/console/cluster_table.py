"""What `sweeps cluster` prints: the nodes, what they have, and which runs they train or have trained."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeps.run_state import RunState

if TYPE_CHECKING:
    from sweeps.runners.ray.nodes import Node

_TOLD = ("CPU", "GPU")  # the others are memory, or Ray's own


@dataclass(frozen=True)
class NodeRow:
    """One node.

    Attributes:
        name: Its address and the start of its id; runs are recorded with it.
        lives: Whether the cluster has it now; it may have gone since it trained its runs.
        resources: Name -> (what nobody uses, all of it).
        labels: Those that it was started with.
        training: Runs that it trains now, such as ``finetune 17``.
        trained: How many runs ended there.
    """

    name: str
    lives: bool
    resources: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    training: tuple[str, ...] = ()
    trained: int = 0


def node_rows(
    found: Sequence[Node], free: Mapping[str, Mapping[str, float]], runs: Iterable[Mapping[Hashable, Any]]
) -> list[NodeRow]:
    """Every node that lives or that runs were recorded with.

    Args:
        found: The nodes that live.
        free: Node id -> what nobody uses.
        runs: Rows of runs with `sweep`, `number`, `state` and `node`.
    """
    training: dict[str, list[str]] = {}
    trained: dict[str, int] = {}
    for run in runs:
        node = run["node"]
        if not isinstance(node, str):
            continue
        state = RunState(run["state"])
        if state is RunState.RUNNING:
            training.setdefault(node, []).append(f"{run['sweep']} {run['number']}")
        trained[node] = trained.get(node, 0) + state.finished
    rows = [
        NodeRow(
            node.name,
            True,
            {name: (free.get(node.id, {}).get(name, 0.0), total) for name, total in _told(node.resources).items()},
            {name: value for name, value in node.labels.items() if not name.startswith("ray.io/node-")},
            tuple(training.get(node.name, ())),
            trained.get(node.name, 0),
        )
        for node in sorted(found, key=lambda node: node.name)
    ]
    gone = sorted({*training, *trained} - {row.name for row in rows})
    return rows + [NodeRow(name, False, training=tuple(training.get(name, ())), trained=trained[name]) for name in gone]


def _told(resources: Mapping[str, float]) -> dict[str, float]:
    """Processors, cards and what the nodes were given by name; not memory, nor what Ray adds."""
    own = {name: total for name, total in resources.items() if name.isidentifier() and "memory" not in name}
    return {name: own[name] for name in (*_TOLD, *sorted(own.keys() - set(_TOLD))) if name in own}


def node_data(row: NodeRow) -> dict[str, Any]:
    """One node of `sweeps cluster --json`."""
    return {
        "node": row.name,
        "lives": row.lives,
        "resources": {name: {"free": free, "total": total} for name, (free, total) in row.resources.items()},
        "labels": dict(row.labels),
        "training": list(row.training),
        "trained": row.trained,
    }


def print_nodes(rows: Sequence[NodeRow], console: Console) -> None:
    """The table of `sweeps cluster`."""
    table = Table(box=None, pad_edge=False)
    for title in ("node", "free of all", "labels", "trains now", "trained"):
        table.add_column(title)
    for row in rows:
        amounts = ", ".join(f"{free:g} of {total:g} {name}" for name, (free, total) in row.resources.items())
        labels = ", ".join(f"{name}={value}" for name, value in row.labels.items())
        where = amounts if row.lives else "gone"
        table.add_row(row.name, where or "no room", Text(labels), Text(", ".join(row.training)), str(row.trained))
    console.print(table, highlight=False)
