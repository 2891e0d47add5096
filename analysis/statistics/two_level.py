"""The mean delta over pairs and test examples, with an interval for new seeds and new examples."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import Interval, check_fraction, t_quantile


@dataclass(frozen=True, slots=True)
class TwoLevel:
    """A mean delta with crossed random effects of pairs and examples.

    Attributes:
        pairs: Number of pairs, P.
        examples: Number of examples, E.
        delta: Mean over pairs and examples, in metric units.
        v_seed: Variance of the mean from pairs, residual included: that of the pair means over P.
        v_example: Variance of the mean from examples, residual included: that of the example means over E.
        v_residual: Residual variance over P E, which the two above both contain.
        variance: Variance of `delta`: v_seed + v_example - v_residual, at least the larger of the two.
        df: Satterthwaite's degrees of freedom; None when nothing varies.
        interval: Interval of the mean delta over new seeds and new examples; None when nothing varies.
    """

    pairs: int
    examples: int
    delta: float
    v_seed: float
    v_example: float
    v_residual: float
    variance: float
    df: float | None
    interval: Interval | None


def two_level(deltas: ArrayLike, alpha: float = 0.05) -> TwoLevel:
    """Return the mean delta and its interval for new seeds and new examples, by crossed random effects.

    It applies to metrics of single examples (loss or correctness), with the same test examples in every pair. The
    method is two-way analysis of variance without replication, with degrees of freedom by Satterthwaite (1946). In
    simulations the coverage of the 95 % interval is 94 to 98 % from 5 pairs on, and 92 % at worst with 3 pairs.

    Args:
        deltas: Treatment - control of every pair and example, shape (pairs, examples), both at least 2.
        alpha: The level of the interval is 1 - alpha.

    Raises:
        ValueError: The shape is different, a value is not finite, or alpha is outside (0, 1).
    """
    check_fraction("alpha", alpha)
    x = np.asarray(deltas, dtype=np.float64)
    if x.ndim != 2 or min(x.shape) < 2:
        raise ValueError(f"deltas must have shape (pairs, examples), both at least 2, found {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"deltas must be finite, found {x[~np.isfinite(x)][0]}")
    p, e = x.shape
    by_pair, by_example, mean = x.mean(axis=1), x.mean(axis=0), float(x.mean())
    v_seed = float(by_pair.var(ddof=1)) / p
    v_example = float(by_example.var(ddof=1)) / e
    residual = x - by_pair[:, np.newaxis] - by_example + mean
    v_residual = float((residual**2).sum()) / ((p - 1) * (e - 1)) / (p * e)
    variance = max(v_seed + v_example - v_residual, v_seed, v_example)
    df = interval = None
    if variance > 0.0 and np.ptp(x) > 1e-9 * np.abs(x).max():  # a smaller range is rounding
        squares = v_seed**2 / (p - 1) + v_example**2 / (e - 1) + v_residual**2 / ((p - 1) * (e - 1))
        df = variance**2 / squares
        half = t_quantile(1.0 - alpha, df) * sqrt(variance)
        interval = Interval(mean - half, mean + half)
    return TwoLevel(p, e, mean, v_seed, v_example, v_residual, variance, df, interval)
