"""The good runs of a sweep, and whether the best point is at an edge of the space."""

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

GOOD_SHARE = 0.25  # share of the distance from the best score to the median
SIGMAS = 2.0  # runs that differ by fewer standard deviations of the noise are equally good
THIRD = 1.0 / 3.0
MIN_TO_CONTRADICT = 4  # with fewer good runs, they cannot contradict an edge


@dataclass(frozen=True)
class GoodRegion:
    """The runs that are about as good as the best one.

    Attributes:
        runs: Run numbers, including the best complete run.
        tolerance: Largest difference from the best score.
        words: The compared scores, for a sentence.
    """

    runs: tuple[int, ...]
    tolerance: float
    words: str


@dataclass(frozen=True)
class Edge:
    """A field whose best value is close to an end of its range.

    Attributes:
        field: Dotted path.
        value: Value of the best run.
        place: Position in the (log) range: 0 at the lower end, 1 at the upper end, outside below 0 or above 1.
        upper: Whether the upper end is the close one.
        near: Number of good runs in the third at that end, including the best one.
        good: Number of good runs that have the field.
    """

    field: str
    value: Value
    place: float
    upper: bool
    near: int
    good: int

    @property
    def backed(self) -> bool:
        """Whether the other good runs support the edge, or are too few to contradict it.

        With five fields without effect, the best point is within a tenth of an end of some range in two of three
        sweeps. If the optimum is beyond the edge, at least half of the other good runs are at that end, too.
        """
        others, near = self.good - 1, self.near - 1  # without the best run, which is at the edge by definition
        return self.good < MIN_TO_CONTRADICT or 2 * near >= others


def good_region(evidence: SweepEvidence) -> GoodRegion | None:
    """Return the runs whose scores at one epoch are within a tolerance of the best; None without a complete run.

    The tolerance is a quarter of the distance from best to median, or two standard deviations of the noise if larger.
    """
    best = evidence.best
    if best is None:
        return None
    compared = comparable_scores(evidence, least=1)
    if compared is None:
        return GoodRegion((best.number,), 0.0, "(no other run reached the same epoch)")
    oriented = {number: evidence.sign * score for number, score in compared.scores.items()}
    top, found = max(oriented.values()), score_noise(evidence)
    tolerance = max(GOOD_SHARE * (top - float(np.median(list(oriented.values())))), SIGMAS * found.sd if found else 0.0)
    runs = {number for number, score in oriented.items() if score >= top - tolerance} | {best.number}
    return GoodRegion(tuple(sorted(runs)), tolerance, compared.words)


def range_positions(evidence: SweepEvidence, run: RunSnapshot) -> Mapping[str, float]:
    """Return the position of a run in each numeric range: 0 at the lower end, 1 at the upper end."""
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
    """Return the fields whose best value is within 10 % of an end of the (log) range, or outside of it."""
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
