"""How much a mean delta and its verdict depend on one pair."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import Floats, checked_sample, t_interval, t_quantile

_ROUNDING = 1e-9  # deltas that differ by less than this share of the largest one differ by rounding only


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """The mean deltas without each pair in turn.

    Attributes:
        low: Smallest mean delta with one pair left out, in metric units.
        high: Largest mean delta with one pair left out.
        pair: Index of the pair with the largest influence on the mean; the first one in a tie.
        changes_sign: Whether leaving out some pair changes the sign of the mean, or makes it 0.
        changes_conclusion: Whether leaving out some pair changes whether the interval excludes 0; False below 3 pairs.
    """

    low: float
    high: float
    pair: int
    changes_sign: bool
    changes_conclusion: bool


def leave_one_out(deltas: ArrayLike, alpha: float = 0.05) -> LeaveOneOut | None:
    """Return the effect of leaving out each pair in turn; None for one pair.

    Args:
        deltas: Deltas in metric units, shape (n,).
        alpha: The level of the interval is 1 - alpha.

    Raises:
        ValueError: There are no pairs, or a delta is not finite.
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
        changes_conclusion=_conclusion_depends_on_one(x, means, alpha),
    )


def spread(deltas: Floats) -> float | None:
    """Return the standard deviation of deltas; None for one pair, 0 if they differ by rounding only."""
    if len(deltas) < 2:
        return None
    sd = float(deltas.std(ddof=1))
    return 0.0 if sd <= _ROUNDING * float(np.abs(deltas).max()) else sd


def _conclusion_depends_on_one(x: Floats, means: Floats, alpha: float) -> bool:
    n = len(x)
    if n < 3 or not spread(x):
        return False
    away = (x - x.mean()) ** 2
    squares = away.sum() - away * n / (n - 1)  # the sum of squares without each pair
    errors = np.sqrt(np.maximum(squares, 0.0) / (n - 2) / (n - 1))
    excludes = np.abs(means) > t_quantile(1.0 - alpha, n - 2) * errors
    return bool((excludes != t_interval(x, 1.0 - alpha).excludes(0.0)).any())
