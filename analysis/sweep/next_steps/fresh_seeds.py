"""By which metric the best runs of a sweep are compared on fresh seeds."""

from collections.abc import Collection
from dataclasses import dataclass

from search_spaces import Metrics, SpaceSpec
from search_spaces.metric_names import RAW, split_weights
from search_spaces.specs.ablation_parts import CommandMetrics


@dataclass(frozen=True)
class Judging:
    """How the arms of an ablation on fresh seeds are compared.

    Attributes:
        metrics: Metrics of the ablation.
        weights: Evaluated weights of every arm.
        note: What the question says about the metric; empty if it is on `test`, as usual.
    """

    metrics: Metrics
    weights: str
    note: str = ""


def judging(spec: SpaceSpec, reported: Collection[str]) -> Judging:
    """Return how the runs of a sweep are compared again: on `test`, or if they report nothing there, as in the sweep.

    Args:
        spec: Space of the sweep.
        reported: Names of the metrics that its runs have reported; of a task, those of complete runs, if there are any.
    """
    name, goal = spec.metric.name, spec.metric.goal
    if spec.command is None:
        metric, weights = split_weights(name)
        if spec.metrics_of_task or not reported or any(one.startswith("test/") for one in reported):
            return Judging(Metrics(primary=f"test/{metric}", goal=goal), weights)
        note = f" The task has no test split, so {name}, which selected them, is compared again."
        return Judging(Metrics(primary=f"val/{metric}", goal=goal, secondary=()), weights, note)
    tested = f"test/{name.partition('/')[2]}"
    if tested in reported:
        return Judging(CommandMetrics(primary=tested, select=name, goal=goal), RAW)
    note = f" The program reports no {tested}, so {name}, which selected them, is compared again."
    return Judging(CommandMetrics(primary=name, goal=goal), RAW, note)
