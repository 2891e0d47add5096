"""How much tuning a re-tuned verdict took: tries until the treatment leads, points where it is better, fields changed.

All three use the tries of the tuning alone, one seed each, so they describe; they test nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.arms.tuning import Try, Tuning
from analysis.range_position import position
from analysis.statistics.best_of_n import Lead, lead
from analysis.statistics.comparison import Goal, improvement
from analysis.statistics.intervals import Interval, wilson
from search_spaces import RETUNED, AblationSpec, Contrast, Distribution, tuning_ranges
from search_spaces.metric_names import split_weights
from search_spaces.values import identity

NEAR = 0.15
"""Share of a range within which a value counts as that of the arm's own recipe."""


@dataclass(frozen=True)
class SharedPoints:
    """Points that both arms tried: those of the same index, which have the same place in the ranges of both arms.

    Attributes:
        points: Number of points with a score in at least one arm.
        better: Number of them at which the treatment is better; a tie counts one half.
        share: Wilson interval of the share at 95 %; None without a point.
        equal: Whether the values are the same, too; they are not where an arm has ranges of its own.
    """

    points: int
    better: float
    share: Interval | None
    equal: bool


@dataclass(frozen=True)
class FieldsNeeded:
    """How many fields of an arm have to leave its own recipe.

    Attributes:
        best: Best score of all tries.
        one_field: Best score of the tries in which at most one field is away from the arm's own recipe; None if none
            of these has a score.
        fields: Smallest set of fields such that a try with only these away scores within the margin of `best`.
        tried: Number of tries with a score in which no other field is away.
    """

    best: float
    one_field: float | None
    fields: tuple[str, ...]
    tried: int


@dataclass(frozen=True)
class TuningEffort:
    """How much tuning the comparison of two arms took.

    Attributes:
        contrast: The compared arms.
        lead: From how many tries on the treatment leads.
        shared: At how many of the points that both arms tried the treatment is better.
        fields: Arm -> fields that had to change; empty without a margin for the selection metric.
    """

    contrast: Contrast
    lead: Lead
    shared: SharedPoints
    fields: Mapping[str, FieldsNeeded]


def tuning_efforts(spec: AblationSpec, tunings: Sequence[Tuning]) -> tuple[TuningEffort, ...]:
    """Return how much tuning each re-tuned comparison of two arms took, if both arms have a try with a score."""
    if RETUNED not in spec.designs:
        return ()
    tuned = {one.arm: one for one in tunings if one.best_of_n}
    found = []
    for contrast in spec.treatments:
        if contrast.simple is None or not tuned.keys() >= set(contrast.simple):
            continue
        control, treatment = (tuned[arm] for arm in contrast.simple)
        rng = np.random.default_rng([len(contrast.name), *contrast.name.encode()])  # a report is the same each time
        found.append(
            TuningEffort(
                contrast=contrast,
                lead=lead(_values(control), _values(treatment), spec.metrics.goal, rng),
                shared=shared_points(control.tries, treatment.tries, spec.metrics.goal),
                fields=_fields(spec, (control, treatment)),
            )
        )
    return tuple(found)


def _values(arm: Tuning) -> list[float]:
    return [np.nan if one.value is None else one.value for one in arm.tries]


def shared_points(control: Sequence[Try], treatment: Sequence[Try], goal: Goal) -> SharedPoints:
    """Return at how many points of the same index the treatment is better; a run without a score is worse.

    Index 0 is the recipe of each arm, and counts only if both have the same values there.
    """
    better, equal = [], True
    for a, b in zip(control, treatment, strict=True):
        same = all(identity(a.point[field]) == identity(b.point[field]) for field in a.point)
        if (same or a.index > 0) and (a.value is not None or b.value is not None):
            better.append(_better(a.value, b.value, goal))
            equal = equal and same
    return SharedPoints(len(better), sum(better), wilson(sum(better), len(better)) if better else None, equal)


def _better(control: float | None, treatment: float | None, goal: Goal) -> float:
    if control is None or treatment is None:
        return float(control is None)
    return float(np.sign(improvement(treatment - control, goal)) + 1.0) / 2.0


def _fields(spec: AblationSpec, arms: Sequence[Tuning]) -> Mapping[str, FieldsNeeded]:
    margin, metrics = spec.metrics.margin, spec.metrics
    # The margin is one of the primary metric; it holds for the selection metric if that is the same on another split.
    if margin is None or split_weights(metrics.selection)[0] != split_weights(metrics.primary)[0]:
        return {}
    return {one.arm: fields_needed(one.tries, tuning_ranges(spec, one.arm), margin, metrics.goal) for one in arms}


def fields_needed(tries: Sequence[Try], ranges: Mapping[str, Distribution], margin: float, goal: Goal) -> FieldsNeeded:
    """Return the smallest set of fields whose change alone comes within the margin of the best try.

    A field counts as unchanged if its value is that of the arm's own recipe, or within 15 % of the range of it. Few
    tries have most fields unchanged, so fewer fields than these may do, but never more.

    Args:
        tries: Tries of the arm, its own recipe first, at least one with a score.
        ranges: Tuned field -> range.
        margin: Difference that does not matter.
        goal: Whether a larger or a smaller score is better.
    """
    away = [frozenset(field for field in ranges if _is_away(ranges[field], one, tries[0], field)) for one in tries]
    scored = [(changed, one.value) for changed, one in zip(away, tries, strict=True) if one.value is not None]
    pick = max if goal == "maximize" else min
    best = pick(value for _, value in scored)
    single = [value for changed, value in scored if len(changed) <= 1]
    near = {changed for changed, value in scored if abs(value - best) <= margin}
    enough = min(near, key=lambda changed: (len(changed), sorted(changed)))
    return FieldsNeeded(
        best=best,
        one_field=pick(single) if single else None,
        fields=tuple(field for field in ranges if field in enough),
        tried=sum(changed <= enough for changed, _ in scored),
    )


def _is_away(distribution: Distribution, one: Try, own: Try, field: str) -> bool:
    value, before = one.point[field], own.point[field]
    if identity(value) == identity(before):
        return False
    places = [position(distribution, each) for each in (value, before)]
    known = [place for place in places if place is not None]
    return len(known) < 2 or not abs(known[0] - known[1]) <= NEAR
