"""The nodes of a Ray cluster: their resources, how many runs fit, and whether they can train."""

import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search_spaces import Resources
from sweeps.runners.ray.node_check import Expectation, lacks

NODE_ID = "ray.io/node-id"  # a label that Ray sets on every node
ANSWER_S = 1.0
CHECK_S = 120.0  # a worker on a cold node starts in 10-20 s


@dataclass(frozen=True)
class Node:
    """A node that is alive.

    Attributes:
        id: Id in Ray.
        address: IP address.
        port: Port of its raylet; when nothing listens there, the node is dead, even if Ray does not know it yet.
        resources: Total amount of each resource, by Ray's names.
        labels: Labels of the node, including those set by Ray.
    """

    id: str
    address: str
    port: int
    resources: Mapping[str, float]
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return its name in records and messages."""
        return node_name(self.address, self.id)


def node_name(address: str, node_id: str) -> str:
    """Return an address with the start of the id: several nodes may share a machine."""
    return f"{address}/{node_id[:8]}"


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    found: list[dict[str, Any]] = ray.nodes()
    return [
        Node(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["NodeManagerPort"],
            node["Resources"],
            node.get("Labels") or {},
        )
        for node in found
        if node["Alive"]
    ]


def free() -> dict[str, dict[str, float]]:
    """Return the free resources by node id."""
    from ray._private.state import available_resources_per_node  # there is no public function

    found: dict[str, dict[str, float]]
    if ray.util.client.ray.is_connected():  # with `ray://` only a process in the cluster can query it
        found = ray.get(ray.remote(num_cpus=0)(available_resources_per_node).remote())
    else:
        found = available_resources_per_node()
    return found


def dying(found: Iterable[Node]) -> set[str]:
    """Return the ids of the nodes that do not answer, although Ray still lists them as alive."""
    return {node.id for node in found if not _answers(node)}


def _answers(node: Node) -> bool:
    try:
        socket.create_connection((node.address, node.port), timeout=ANSWER_S).close()
    except OSError:
        return False
    return True


# --- what fits --------------------------------------------------------------------------------------------------


def bundle(resources: Resources) -> dict[str, float]:
    """Return the resources of one run, by Ray's names."""
    return {"CPU": resources.cpu, "GPU": resources.gpu, **resources.custom}


def capacity(resources: Resources, found: Iterable[Node], left_out: Iterable[str] = ()) -> int:
    """Return how many runs fit on these nodes at the same time."""
    avoided = set(left_out)
    return sum(_fits(node, resources) for node in found if node.id not in avoided)


def _fits(node: Node, resources: Resources) -> int:
    """Return how many runs fit on one node."""
    if not all(matches(wanted, node.labels.get(label)) for label, wanted in resources.labels.items()):
        return 0
    counts = [node.resources.get(name, 0.0) / amount for name, amount in bundle(resources).items() if amount]
    return int(min(counts) + 1e-9)  # ten runs of 0.1 GPU fill a GPU: 1 / 0.1 must not round below 10


def matches(selector: str, label: str | None) -> bool:
    """Return whether a node's label matches a selector of Ray: `a`, `!a`, `in(a,b)` or `!in(a,b)`."""
    unwanted, rest = selector.startswith("!"), selector.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", rest)
    named = [value.strip() for value in several[1].split(",")] if several else [rest]
    return (label in named) != unwanted


def selector(resources: Resources, left_out: Sequence[str]) -> dict[str, str]:
    """Return the labels that a node must have to get a run."""
    avoid = {NODE_ID: f"!in({','.join(sorted(left_out))})"} if left_out else {}
    return {**resources.labels, **avoid}


def lacking(resources: Resources, found: Sequence[Node]) -> str:
    """Return why not even one run fits."""
    wanted = {"CPU": resources.cpu, **{name: amount for name, amount in bundle(resources).items() if amount}}
    have = {name: sum(node.resources.get(name, 0.0) for node in found) for name in wanted}
    labels = "".join(f", {label}: {value}" for label, value in resources.labels.items())
    return (
        f"a run needs {_amounts(wanted)} on one node{labels and f' with{labels[1:]}'}, "
        f"the cluster of {len(found)} nodes has {_amounts(have)} in total"
    )


def _amounts(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())


# --- whether they can train -------------------------------------------------------------------------------------


def check(expected: Expectation, found: Sequence[Node], say: Callable[[str], None] = lambda text: None) -> list[str]:
    """Check all nodes at the same time, and return one line per problem.

    Args:
        expected: What the driver expects of every node.
        found: Nodes to check.
        say: Prints a line when the check takes long.
    """
    probe = ray.remote(num_cpus=0, max_retries=0)(lacks)
    asked = {
        probe.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        ).remote(expected): node
        for node in found
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=10.0)
    if late:
        say(f"waiting for {len(late)} of {len(asked)} nodes to be checked")
        done, late = ray.wait(list(asked), num_returns=len(asked), timeout=CHECK_S)
    problems = [f"node {asked[one].name}: no answer within {CHECK_S:.0f} s" for one in late]
    for one in done:
        try:
            problems += [f"node {asked[one].name}: {line}" for line in ray.get(one)]
        except RayError as error:
            problems.append(f"node {asked[one].name}: {str(error).strip().splitlines()[-1]}")
    return sorted(problems)
