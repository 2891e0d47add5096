"""Does the score at a rung tell the final one? Rank correlations of the same runs at two epochs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.intervals import Floats, Interval
from analysis.sweep.evidence import SweepEvidence
from search_spaces import Asha
from sweeps.plan.asha import rung_epochs

MIN_RUNS = 6  # runs: of five, one order in 120 alone is perfect
REPEATS = 1000


@dataclass(frozen=True)
class RungCorrelation:
    """How alike runs are ranked after two numbers of epochs.

    Attributes:
        rung: The earlier epoch.
        later: The later one: the next rung, or the full budget.
        runs: How many have a value at both.
        spearman: Rank correlation, -1 to 1; None of fewer than `MIN_RUNS` runs, or where all values at one are alike.
        kendall: Tau-b: pairs ranked alike less pairs ranked otherwise, as a share; None likewise.
        interval: Of `spearman`, 95 %, percentile bootstrap over runs; None likewise.
        stopped: Whether runs were stopped at the rung, so that the better ones alone are compared, which lowers it.
    """

    rung: int
    later: int
    runs: int
    spearman: float | None
    kendall: float | None
    interval: Interval | None
    stopped: bool


def rung_correlations(evidence: SweepEvidence, rng: np.random.Generator) -> tuple[RungCorrelation, ...]:
    """Return each rung against the full budget, and each rung against the next.

    A sweep that stops nothing is asked about the rungs that the default rule would have had.

    Args:
        evidence: The sweep.
        rng: Of the bootstrap.
    """
    rungs = evidence.rungs or rung_epochs(Asha(), evidence.budget)
    final = [(rung, evidence.budget) for rung in rungs]
    return tuple(_row(evidence, *both, rng) for both in dict.fromkeys([*final, *itertools.pairwise(rungs)]))


def _row(evidence: SweepEvidence, rung: int, later: int, rng: np.random.Generator) -> RungCorrelation:
    first, second = evidence.at(rung), evidence.at(later)
    both = sorted(first.keys() & second.keys())
    x, y = (np.array([values[number] for number in both], dtype=np.float64) for values in (first, second))
    if len(both) < MIN_RUNS or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return RungCorrelation(rung, later, len(both), None, None, None, bool(evidence.rungs))
    tau = float(stats.kendalltau(x, y).statistic)
    rho = float(spearman(x, y))
    return RungCorrelation(rung, later, len(both), rho, tau, _bootstrap(x, y, rng), bool(evidence.rungs))


def spearman(x: Floats, y: Floats) -> Floats:
    """Return the correlation of ranks along the last axis, ties sharing their mean rank; NaN where one is constant.

    Args:
        x: Shape `(..., n)`.
        y: Of the same shape.
    """
    a, b = (stats.rankdata(values, axis=-1) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (a, b))
    norms = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    products = (a * b).sum(axis=-1)
    return np.asarray(np.divide(products, norms, out=np.full_like(norms, np.nan), where=norms > 0.0), np.float64)


def _bootstrap(x: Floats, y: Floats, rng: np.random.Generator) -> Interval:
    drawn = rng.integers(0, len(x), (REPEATS, len(x)))
    low, high = np.nanquantile(spearman(x[drawn], y[drawn]), [0.025, 0.975])
    return Interval(float(low), float(high))
