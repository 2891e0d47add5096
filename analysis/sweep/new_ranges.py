"""New ranges for fields whose best value is at an edge of the space."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.good_region import Edge, GoodRegion, edges, good_region, range_positions
from search_spaces import (
    Distribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Recipe,
    Uniform,
    UsageError,
    Value,
    resolve,
)

SHIFT = 1.0 / 3.0  # share of the (log) range
_SHRINKS = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class NewRange:
    """An edge, and the range to search next.

    Attributes:
        edge: Position of the best point.
        distribution: Distribution to search next; None if the recipe allows no values beyond the edge.
    """

    edge: Edge
    distribution: Distribution | None


def suggested_ranges(evidence: SweepEvidence) -> Mapping[str, Distribution]:
    """Return a new distribution for each field whose best value is at an edge that the other good runs support.

    The end at the edge moves outwards by a third of the (log) range, or to a third of it beyond a best value outside.
    The other end follows by as much, unless this would exclude a good run. If the recipe refuses the new end, the step
    is halved; if an eighth of the step is refused, too, nothing is suggested. The ends keep their sign. A normal
    distribution keeps its standard deviation and moves its mean to the best value. Ends of log ranges are rounded to
    two digits.
    """
    return {
        one.edge.field: one.distribution
        for one in new_ranges(evidence)
        if one.distribution is not None and one.edge.backed
    }


def new_ranges(evidence: SweepEvidence) -> tuple[NewRange, ...]:
    """Return every edge with the range of `suggested_ranges`, whether or not the good runs support it."""
    region = good_region(evidence)
    if region is None:
        return ()
    # The range of an alternative is part of its `one_of`, and has to be widened there by hand.
    plain = (edge for edge in edges(evidence, region) if edge.field in evidence.spec.search)
    return tuple(NewRange(edge, _moved(evidence, region, edge)) for edge in plain)


def _moved(evidence: SweepEvidence, region: GoodRegion, edge: Edge) -> Distribution | None:
    distribution = evidence.spec.search[edge.field]
    best = evidence.best
    recipe = evidence.spec.recipe if best is None else best.recipe
    inside = [range_positions(evidence, evidence.runs[number]).get(edge.field) for number in region.runs]
    good = [place for place in inside if place is not None and math.isfinite(place)]
    outwards = (
        max(SHIFT, (edge.place - 1.0 if edge.upper else -edge.place) + SHIFT) if math.isfinite(edge.place) else 0.0
    )
    for shrink in _SHRINKS:
        step = outwards * shrink
        left = any(place < step if edge.upper else place > 1.0 - step for place in good)
        low, high = (0.0 if left else step, 1.0 + step) if edge.upper else (-step, 1.0 if left else 1.0 - step)
        try:
            moved = _between(distribution, low, high, edge.value)
        except (UsageError, OverflowError):  # an invalid range
            continue
        if moved is None or moved == distribution or not _keeps_sign(distribution, moved):
            continue
        if _is_valid(recipe, edge.field, moved.edges()):
            return moved
    return None


def _between(old: Distribution, low: float, high: float, best: Value) -> Distribution | None:
    """Return the range between two positions, where 0 and 1 are the ends of the old range."""
    if isinstance(old, LogUniform):
        a, width = math.log(old.low), math.log(old.high) - math.log(old.low)
        ends = (_end(old, place, math.exp(a + width * place)) for place in (low, high))
        return LogUniform(*ends)
    if isinstance(old, Uniform):
        ends = (_end(old, place, old.low + (old.high - old.low) * place) for place in (low, high))
        return Uniform(*ends)
    if isinstance(old, RandInt):
        return RandInt(*(_outwards(place, old.high - old.low) + old.low for place in (low, high)))
    if isinstance(old, QUniform):
        first, last = (_outwards(place, old.size - 1) for place in (low, high))
        return QUniform(old.at(first), old.at(last), old.q)
    if isinstance(old, Normal) and isinstance(best, int | float):
        return Normal(best, old.sd)
    return None


def _outwards(place: float, steps: int) -> int:
    """Return a position in whole steps; a position beyond an end is at least one step away from it."""
    at = place * steps
    return math.floor(at) if place < 0 else math.ceil(at) if place > 1 else round(at)


def _end(old: Uniform | LogUniform, place: float, value: float) -> float:
    """Return an end of the new range: unchanged, or rounded to two digits of the value or of the width."""
    if place in (0.0, 1.0):
        return old.low if place == 0.0 else old.high
    scale = abs(value) if isinstance(old, LogUniform) else old.high - old.low
    return round(value, 1 - math.floor(math.log10(scale))) + 0.0  # no -0.0


def _keeps_sign(old: Distribution, new: Distribution) -> bool:
    """Return whether the ends are on the same side of 0, since an argument of a command has no rule that says so."""
    if isinstance(old, Normal):
        return True
    before, after = ([end for end in one.edges() if isinstance(end, int | float)] for one in (old, new))
    sides = [one for one in (gt, ge, lt, le) if all(one(end, 0) for end in before)]
    return all(side(end, 0) for side in sides for end in after)


def _is_valid(recipe: Recipe, field: str, ends: Sequence[Value]) -> bool:
    try:
        for value in ends:
            resolve(recipe, {field: value})
    except UsageError:
        return False
    return True
