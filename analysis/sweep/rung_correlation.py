"""Rank correlations of the scores of the same runs at two epochs, such as a rung and the full budget."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.intervals import Floats, Interval
from analysis.sweep.evidence import SweepEvidence
from search_spaces import Asha
from sweeps.plan.asha import rung_epochs

MIN_RUNS = 6  # with five runs, one order in 120 is perfect by chance
REPEATS = 1000


@dataclass(frozen=True)
class RungCorrelation:
    """Rank correlation of the scores at two epochs.

    Attributes:
        rung: Earlier epoch.
        later: Later epoch: the next rung, or the full budget.
        runs: Number of runs with a value at both epochs.
        spearman: Spearman's rank correlation; None with fewer than `MIN_RUNS` runs, or equal values at one epoch.
        kendall: Kendall's tau-b; None in the same cases.
        interval: 95 % interval of `spearman`, by percentile bootstrap over runs; None in the same cases.
        stopped: Whether runs were stopped at the rung. Only the better ones are compared then, which lowers it.
    """

    rung: int
    later: int
    runs: int
    spearman: float | None
    kendall: float | None
    interval: Interval | None
    stopped: bool


def rung_correlations(evidence: SweepEvidence, rng: np.random.Generator) -> tuple[RungCorrelation, ...]:
    """Return the correlations of each rung with the full budget, and of each rung with the next.

    For a sweep without early stopping, the rungs of the default rule are used.

    Args:
        evidence: The sweep.
        rng: Generator for the bootstrap.
    """
    rungs = evidence.rungs or rung_epochs(Asha(), evidence.spec.recipe.budget)
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
    """Return the correlation of ranks along the last axis, with mean ranks for ties; NaN if an input is constant.

    Args:
        x: Values of shape `(..., n)`.
        y: Values of the same shape.
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
