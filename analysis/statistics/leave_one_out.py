"""How much a mean delta, and what it says, hang on one pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import Floats, checked_sample, t_interval, t_quantile

_ROUNDING = 1e-9  # deltas that differ by less than this part of the largest one differ by rounding alone


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """What the mean delta becomes when any one pair is left out.

    Attributes:
        low: Smallest mean delta over the n omissions, in metric units.
        high: Largest.
        pair: Index of the pair whose omission moves the mean furthest, the first of equals.
        changes_sign: Some omission turns the sign of the mean, or takes it to 0.
        changes_conclusion: Some omission decides whether the interval excludes 0; False below 3 pairs.
    """

    low: float
    high: float
    pair: int
    changes_sign: bool
    changes_conclusion: bool


def leave_one_out(deltas: ArrayLike, alpha: float = 0.05) -> LeaveOneOut | None:
    """Leave out each pair in turn.

    Args:
        deltas: Shape (n,), in metric units.
        alpha: The interval whose exclusion of 0 is watched covers with 1 - alpha.

    Returns:
        None for one pair.

    Raises:
        ValueError: No pairs, or a delta that is not finite.
    """
    x = checked_sample(deltas, 1, "deltas")
    n, mean = len(x), float(x.mean())
    if n < 2:
        return None
    means = (x.sum() - x) / (n - 1)
    return LeaveOneOut(
        low=float(means.min()),
        high=float(means.max()),
        pair=int(np.abs(x - mean).argmax()),
        changes_sign=bool((np.sign(means) != np.sign(mean)).any()),
        changes_conclusion=_conclusion_hangs_on_one(x, means, alpha),
    )


def spread(deltas: Floats) -> float | None:
    """Return the standard deviation of deltas: None for one pair, 0 when they differ by rounding alone."""
    if len(deltas) < 2:
        return None
    sd = float(deltas.std(ddof=1))
    return 0.0 if sd <= _ROUNDING * float(np.abs(deltas).max()) else sd


def _conclusion_hangs_on_one(x: Floats, means: Floats, alpha: float) -> bool:
    n = len(x)
    if n < 3 or not spread(x):
        return False
    away = (x - x.mean()) ** 2
    squares = away.sum() - away * n / (n - 1)  # the sum of squares without each pair
    errors = np.sqrt(np.maximum(squares, 0.0) / (n - 2) / (n - 1))
    excludes = np.abs(means) > t_quantile(1.0 - alpha, n - 2) * errors
    return bool((excludes != t_interval(x, 1.0 - alpha).excludes(0.0)).any())
