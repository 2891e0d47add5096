"""Where the good runs of a sweep lie: how many there are, and whether the best point lies at an edge of the space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.range_position import EDGE, position
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import comparable_scores
from analysis.sweep.score_noise import score_noise
from search_spaces import Choice, Constant, Value
from sweeps.study.snapshot import RunSnapshot

GOOD = 0.25  # of the way from the best score to the median
SIGMAS = 2.0  # of the noise: runs that differ by less are equally good
THIRD = 1.0 / 3.0
FEW = 4  # good runs: three beside the best can speak against an edge


@dataclass(frozen=True)
class GoodRegion:
    """The runs that are about as good as the best one.

    Attributes:
        runs: Their numbers, the best of the complete runs always among them.
        tolerance: How far below the best score a good run may be.
        words: How they were found, for a sentence.
    """

    runs: tuple[int, ...]
    tolerance: float
    words: str


@dataclass(frozen=True)
class Edge:
    """The best point's place in one range, where that is close to an end.

    Attributes:
        field: Dotted path.
        value: Of the best run.
        place: 0 at the lower end of the (log) range, 1 at the upper; below 0 or above 1 outside.
        upper: Which end.
        near: Good runs in the third at that end, the best one included.
        good: Good runs that have the field.
    """

    field: str
    value: Value
    place: float
    upper: bool
    near: int
    good: int

    @property
    def backed(self) -> bool:
        """Whether the other good runs do not speak against it.

        Of five fields that do nothing, the best point lies within a tenth of an end of some range in two sweeps of
        three. Where the score does want to leave the space, half of the other good runs lie at that end, too.
        """
        others, near = self.good - 1, self.near - 1  # without the best, which is there by what an edge is
        return self.good < FEW or 2 * near >= others


def good_region(evidence: SweepEvidence) -> GoodRegion | None:
    """Return the runs whose score, after equally many epochs, is within a quarter of the way from best to median.

    Or within two standard deviations of the noise, where that is more. None without a complete run.
    """
    best = evidence.best
    if best is None:
        return None
    compared = comparable_scores(evidence, least=1)
    if compared is None:
        return GoodRegion((best.number,), 0.0, "no other run reached the same epoch")
    turned = {number: evidence.sign * score for number, score in compared.scores.items()}
    top, found = max(turned.values()), score_noise(evidence)
    tolerance = max(GOOD * (top - float(np.median(list(turned.values())))), SIGMAS * found.sd if found else 0.0)
    runs = {number for number, score in turned.items() if score >= top - tolerance} | {best.number}
    return GoodRegion(tuple(sorted(runs)), tolerance, compared.words)


def range_positions(evidence: SweepEvidence, run: RunSnapshot) -> Mapping[str, float]:
    """Return where a run lies in each range that has a between: 0 at the lower end, 1 at the upper."""
    found = {}
    for field, value in run.values.items():
        distribution = evidence.spec.search[field]
        if isinstance(distribution, Choice | Constant):
            continue
        place = position(distribution, value)
        if place is not None:
            found[field] = place
    return found


def edges(evidence: SweepEvidence, region: GoodRegion) -> tuple[Edge, ...]:
    """Return the fields whose best value lies within 10 % of an end of the (log) range, or beyond it."""
    best = evidence.best
    if best is None:
        return ()
    others = {number: range_positions(evidence, evidence.runs[number]) for number in region.runs}
    found = []
    for field, place in range_positions(evidence, best).items():
        if EDGE <= place <= 1.0 - EDGE:
            continue
        upper = place > 0.5
        having = [one[field] for one in others.values() if field in one and math.isfinite(one[field])]
        near = sum(one >= 1.0 - THIRD if upper else one <= THIRD for one in having)
        found.append(Edge(field, best.values[field], place, upper, near, len(having)))
    return tuple(found)
