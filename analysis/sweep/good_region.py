"""The good runs of a sweep, and whether the best point is at an edge of the space."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.range_position import EDGE, position
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import comparable_scores
from analysis.sweep.score_noise import score_noise
from search_spaces import Choice, Constant, Value
from sweeps.study.snapshot import RunSnapshot

GOOD_SHARE = 0.5  # share of the distance from the best score to the median
CLEAR = 2.0  # runs that differ by fewer standard deviations of a difference are equally good
THIRD = 1.0 / 3.0
MIN_OTHERS = 3  # minimum number of good runs beside the best one that support an edge
LEVEL = 0.05  # probability with which fields without effect have an edge that the good runs support


@dataclass(frozen=True)
class GoodRegion:
    """The runs that are about as good as the best one after the same number of epochs.

    Attributes:
        runs: Run numbers. The best complete run is not among them if its score was worse then.
        compared: Run numbers of all runs with a score then, good or not.
        tolerance: Largest difference from the best score.
        words: The compared scores, for a sentence.
    """

    runs: tuple[int, ...]
    compared: tuple[int, ...]
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
        near: Number of good runs other than the best one in the third at that end.
        others: Number of good runs other than the best one that have the field.
        chance: Probability of as many or more of them in that third if they were a random draw of the compared runs.
    """

    field: str
    value: Value
    place: float
    upper: bool
    near: int
    others: int
    chance: float

    @property
    def backed(self) -> bool:
        """Whether the other good runs support the edge.

        With five fields without effect, the best point is within a tenth of an end of some range in two of three
        sweeps. If the optimum is at the edge or beyond it, at least half of the other good runs are at that end, too,
        and more than there would be by chance.
        """
        return self.others >= MIN_OTHERS and 2 * self.near >= self.others and self.chance <= LEVEL


def good_region(evidence: SweepEvidence) -> GoodRegion | None:
    """Return the runs whose scores after the same epoch are within a tolerance of the best; None if no run is complete.

    The tolerance is half the distance from best to median, or two standard deviations of the noise of a difference if
    larger. Around a smooth optimum, half the distance contains 1 / 2^(1 + d / 2) of the space of the d fields that
    matter: 8 of 64 runs for four fields, where a quarter would contain 2.
    """
    compared = comparable_scores(evidence, least=1)
    if evidence.best is None or compared is None:
        return None
    oriented = {number: evidence.sign * score for number, score in compared.scores.items()}
    top, found = max(oriented.values()), score_noise(evidence)
    noise = CLEAR * math.sqrt(2.0) * found.sd if found else 0.0
    tolerance = max(GOOD_SHARE * (top - float(np.median(list(oriented.values())))), noise)
    runs = (number for number, score in oriented.items() if score >= top - tolerance)
    return GoodRegion(tuple(sorted(runs)), tuple(oriented), tolerance, compared.words)


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
    spots = {n: range_positions(evidence, evidence.runs[n]) for n in region.compared if n != best.number}
    found = []
    for field, place in range_positions(evidence, best).items():
        if EDGE <= place <= 1.0 - EDGE:
            continue
        upper = place > 0.5
        having = {n: one[field] for n, one in spots.items() if field in one and math.isfinite(one[field])}
        there = {n for n, one in having.items() if (one >= 1.0 - THIRD if upper else one <= THIRD)}
        good = having.keys() & set(region.runs)
        near, count = len(there & good), len(good)
        chance = float(stats.hypergeom.sf(near - 1, len(having), len(there), count)) if having else 1.0
        found.append(Edge(field, best.values[field], place, upper, near, count, chance))
    return tuple(found)
