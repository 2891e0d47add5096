"""Effects of a treatment on several tasks: their mean, the mean of a population of tasks, and descriptions of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.comparison import Goal, improvement
from analysis.statistics.intervals import Floats, Interval, check_fraction, checked_sample, t_p_value, t_quantile

LEAST_TASKS = 3
"""Smallest number of tasks from which a population of tasks is estimated."""
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A combination of independent means.

    Attributes:
        value: The estimate.
        se: Standard error; exactly 0 if no sample has any spread.
        df: Degrees of freedom, not necessarily an integer; 0 if `se` is 0.
        interval: Interval at level 1 - alpha by Student's t; None if `se` is 0.
        interval90: The same at level 1 - 2 alpha; if it is inside a margin, TOST rejects at alpha.
        p: Two-sided p-value of the value 0; None if `se` is 0.
    """

    value: float
    se: float
    df: float
    interval: Interval | None
    interval90: Interval | None
    p: float | None


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """Mean effect in a population of tasks.

    Attributes:
        value: Estimated mean.
        tau: Estimated standard deviation of the true effects between tasks.
        df: Degrees of freedom: number of tasks - 1.
        interval: Interval by Hartung and Knapp; None if all effects are equal.
    """

    value: float
    tau: float
    df: int
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class CriticalDifference:
    """Ranks of arms over tasks: Friedman's test, and the difference of mean ranks of Nemenyi's test.

    Attributes:
        ranks: Mean rank of each arm; 1 is best, and ties have the mean of their ranks.
        p: p-value of Friedman's test; None if every arm has the same score on every task.
        difference: Smallest difference of two mean ranks that Nemenyi's test detects at alpha.
    """

    ranks: tuple[float, ...]
    p: float | None
    difference: float


def combined_mean(
    samples: Sequence[ArrayLike], weights: Sequence[float] | None = None, alpha: float = 0.05
) -> Estimate:
    """Return a weighted sum of the means of independent samples, with the degrees of freedom of Satterthwaite (1946).

    Args:
        samples: At least one sample, each of shape (n,), n >= 2; n may differ.
        weights: Weight of each mean; by default, all are 1 / number of samples.
        alpha: Level of the test.

    Raises:
        ValueError: There is no sample, one has fewer than two values, a value is not finite, the numbers of weights
            and samples differ, or 2 alpha is outside (0, 1).
    """
    check_fraction("2 alpha", 2.0 * alpha)
    found = [checked_sample(sample) for sample in samples]
    factors = [1.0 / len(found)] * len(found) if found and weights is None else list(weights or ())
    if not found or len(factors) != len(found):
        raise ValueError(f"a weight for each sample is required, found {len(found)} samples and {len(factors)} weights")
    value = sum(factor * float(sample.mean()) for factor, sample in zip(factors, found, strict=True))
    parts = [factor**2 * _variance(sample) for factor, sample in zip(factors, found, strict=True)]
    variance = sum(parts)
    if variance == 0.0:
        return Estimate(value, 0.0, 0.0, None, None, None)
    se = sqrt(variance)
    df = 1.0 / sum((part / variance) ** 2 / (len(sample) - 1) for part, sample in zip(parts, found, strict=True))
    half, half90 = (t_quantile(level, df) * se for level in (1.0 - alpha, 1.0 - 2.0 * alpha))
    wide, narrow = Interval(value - half, value + half), Interval(value - half90, value + half90)
    return Estimate(value, se, df, wide, narrow, t_p_value(value / se, df))


def random_effects(samples: Sequence[ArrayLike], alpha: float = 0.05) -> RandomEffects:
    """Return the mean effect in the population from which the tasks were drawn.

    The interval is that of Hartung and Knapp (2001) with equal weights, by the variance between the means of the tasks
    and one degree of freedom less than there are tasks, but never with a smaller standard error than that of the mean
    over these tasks (Knapp and Hartung, 2003). Weights by variances that were estimated from few pairs would give it a
    coverage below its level. The variance between tasks is that of Hedges (1983).

    Args:
        samples: Effects on each task, each of shape (n,), n >= 2; at least three tasks.
        alpha: 1 - level of the interval.

    Raises:
        ValueError: There are fewer than three tasks, a task has fewer than two values, or a value is not finite.
    """
    check_fraction("alpha", alpha)
    if len(samples) < LEAST_TASKS:
        raise ValueError(f"at least {LEAST_TASKS} tasks are required, found {len(samples)}")
    found = [checked_sample(sample) for sample in samples]
    means = np.array([sample.mean() for sample in found])
    within = float(np.mean([_variance(sample) for sample in found]))
    value, df, whole = float(means.mean()), len(found) - 1, float(means.var(ddof=1)) if np.ptp(means) else 0.0
    half = t_quantile(1.0 - alpha, df) * sqrt(max(whole, within) / len(found))
    interval = Interval(value - half, value + half) if half else None
    return RandomEffects(value, sqrt(max(0.0, whole - within)), df, interval)


def _variance(sample: Floats) -> float:
    """Return the variance of the mean of a sample; exactly 0 if its values are equal."""
    return float(sample.var(ddof=1)) / len(sample) if np.ptp(sample) else 0.0


def interquartile_mean(
    samples: Sequence[ArrayLike], rng: np.random.Generator, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, Interval]:
    """Return the mean of the middle half of all values, with a percentile interval by a stratified bootstrap.

    Values are drawn again within each task (Agarwal et al., 2021). With few values per task the interval is too narrow,
    so it is a description and not a test.

    Args:
        samples: Effects on each task, each of shape (n,), n >= 1.
        rng: Generator for the draws.
        level: Level of the interval.
        resamples: Number of draws.

    Raises:
        ValueError: There is no sample, one is empty, a value is not finite, or level is outside (0, 1).
    """
    check_fraction("level", level)
    found = [checked_sample(sample, 1) for sample in samples]
    draws = [sample[rng.integers(len(sample), size=(resamples, len(sample)))] for sample in found]
    drawn = stats.trim_mean(np.concatenate(draws, axis=1), 0.25, axis=1)
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(stats.trim_mean(np.concatenate(found), 0.25)), Interval(float(low), float(high))


def critical_difference(scores: ArrayLike, goal: Goal, alpha: float = 0.05) -> CriticalDifference:
    """Compare arms by their ranks over tasks (Demsar, 2006).

    Args:
        scores: Score of each arm on each task, shape (tasks, arms), with at least 2 tasks and 3 arms.
        goal: Whether a smaller or a larger score is better.
        alpha: Level of both tests.

    Raises:
        ValueError: The shape is different, or a score is not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3 or not np.isfinite(table).all():
        raise ValueError(f"finite scores of at least 2 tasks and 3 arms are required, found shape {table.shape}")
    tasks, arms = table.shape
    ranks = stats.rankdata(-improvement(1.0, goal) * table, axis=1)
    p = None if np.all(ranks == ranks[0, 0]) else float(stats.friedmanchisquare(*ranks.T).pvalue)
    quantile = float(stats.studentized_range.ppf(1.0 - alpha, arms, inf)) / sqrt(2.0)
    difference = quantile * sqrt(arms * (arms + 1) / (6.0 * tasks))
    return CriticalDifference(tuple(ranks.mean(axis=0).tolist()), p, difference)
