"""The tuning of each arm, and the score of its best try on fresh seeds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.ablation.evidence import Evidence
from analysis.range_position import EDGE, position
from analysis.statistics.best_of_n import expected_best
from search_spaces import RETUNED, TUNING, Value, lookup, tuning_ranges
from search_spaces.metric_names import read_from
from sweeps.plan.ablation_plan import tried_point, winners
from sweeps.run_state import RunState


@dataclass(frozen=True)
class Try:
    """One run of an arm's tuning.

    Attributes:
        index: Index of the try; 0 is the arm's own recipe.
        point: Tuned field -> value.
        value: Value of the selection metric; None if the run is not complete.
        state: State of the run.
    """

    index: int
    point: Mapping[str, Value]
    value: float | None
    state: RunState


@dataclass(frozen=True)
class Tuning:
    """The tuning of one arm.

    Attributes:
        arm: Name of the arm.
        metric: Metric by which the best try was selected.
        tries: All tries, in order.
        best: Index of the best try.
        positions: Tuned numeric field -> position of the best point in its (log) range: 0 at the lower end, 1 at the
            upper end, outside below 0 or above 1.
        edges: Fields whose best value is at an edge of the range, or outside.
        infeasible: Share of the tries that diverged or failed.
        selection: Score of the best try in the tuning; optimistic, because the try was selected by it.
        confirmation: Mean of the same metric over the pairs, on fresh seeds.
        best_of_n: Expected best score of 1 .. N tries.
        epochs: Number of trained epochs.
        seconds: Training seconds.
    """

    arm: str
    metric: str
    tries: tuple[Try, ...]
    best: int
    positions: Mapping[str, float]
    edges: tuple[str, ...]
    infeasible: float
    selection: float | None
    confirmation: float | None
    best_of_n: tuple[float, ...]
    epochs: int
    seconds: float


def tunings(evidence: Evidence) -> tuple[Tuning, ...]:
    """Return the tuning of each trained arm; empty for a matched design, or before all tries have ended."""
    spec, table = evidence.spec, evidence.table
    done = len(evidence.runs) >= table.tries and all(run.state.finished for run in evidence.runs[: table.tries])
    if spec.retune is None or not done:
        return ()
    best = winners(spec, evidence.finals)
    return tuple(_tuning(evidence, arm, best[arm]) for arm in table.arms)


def _tuning(evidence: Evidence, arm: str, best: int) -> Tuning:
    spec = evidence.spec
    metric = read_from(spec.metrics.selection, spec.all_arms[arm].weights)
    tries = tuple(_try(evidence, arm, index, metric) for index in range(spec.retune.runs if spec.retune else 0))
    runs = [run for index in range(len(tries)) if (run := evidence.run(TUNING, index, arm)) is not None]
    ranges = tuning_ranges(spec, arm)
    positions = {
        field: place
        for field, value in tries[best].point.items()
        if (place := position(ranges[field], value)) is not None
    }
    confirmed = evidence.named(RETUNED, arm, metric, evidence.pairs)
    confirmed = confirmed[np.isfinite(confirmed)]
    values = [math.nan if one.value is None else one.value for one in tries]
    known = any(math.isfinite(value) for value in values)
    return Tuning(
        arm=arm,
        metric=metric,
        tries=tries,
        best=best,
        positions=positions,
        edges=tuple(field for field, place in positions.items() if not EDGE <= place <= 1 - EDGE),
        infeasible=sum(one.value is None for one in tries) / len(tries),
        selection=tries[best].value,
        confirmation=float(confirmed.mean()) if len(confirmed) else None,
        best_of_n=tuple(expected_best(values, spec.metrics.goal).tolist()) if known else (),
        epochs=sum(run.epoch for run in runs),
        seconds=sum(run.seconds for run in runs),
    )


def _try(evidence: Evidence, arm: str, index: int, metric: str) -> Try:
    spec = evidence.spec
    recipe = spec.recipe(arm, tried_point(spec, arm, index))
    number = evidence.table.number(TUNING, index, arm)
    value = evidence.finals.get(number, {}).get(metric, math.nan)
    return Try(
        index=index,
        point={field: lookup(recipe, field) for field in (spec.retune.over if spec.retune else ())},
        value=value if math.isfinite(value) else None,
        state=evidence.runs[number].state,
    )
