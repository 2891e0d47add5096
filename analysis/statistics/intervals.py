"""Intervals for means, shares and standard deviations; skewness; power and required number of pairs."""

from functools import lru_cache
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Interval from `low` to `high`; either end may be infinite."""

    low: float
    high: float

    def excludes(self, value: float = 0.0) -> bool:
        """Return whether the value is strictly outside the interval."""
        return self.low > value or self.high < value

    def inside(self, margin: float) -> bool:
        """Return whether the whole interval is strictly between -margin and +margin."""
        return -margin < self.low and self.high < margin


def checked_sample(x: ArrayLike, least: int = 2, of: str = "values") -> Floats:
    """Return x as a vector of float64, shape (n,).

    Raises:
        ValueError: The shape is different, there are fewer than `least` values, or one is not finite.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{of} must have shape (n,), found {values.shape}")
    if len(values) < least:
        raise ValueError(f"at least {least} {of} are required, found {len(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{of} must be finite, found {values[~np.isfinite(values)][0]}")
    return values


def check_fraction(name: str, value: float) -> None:
    """Raise an error if a level or probability is not strictly between 0 and 1.

    Raises:
        ValueError: The value is outside (0, 1).
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"0 < {name} < 1 is required, found {value}")


def normal_quantile(level: float) -> float:
    """Return z with P(|Z| <= z) = level for a standard normal Z."""
    check_fraction("level", level)
    return float(special.ndtri((1.0 + level) / 2.0))


def t_quantile(level: float, df: float) -> float:
    """Return t with P(|T| <= t) = level for Student's T with df degrees of freedom, not necessarily an integer."""
    check_fraction("level", level)
    return float(special.stdtrit(df, (1.0 + level) / 2.0))


def t_p_value(t: float, df: float) -> float:
    """Return P(|T| >= |t|), the two-sided p-value of Student's t."""
    return float(2.0 * special.stdtr(df, -abs(t)))


def t_interval(x: ArrayLike, level: float = 0.95) -> Interval:
    """Return the confidence interval of a mean by Student's t.

    For the deltas of pairs this is the paired t interval. Its coverage is correct from n = 3 on, while bootstrap
    intervals are too narrow below n = 20.

    Args:
        x: Values of shape (n,), n >= 2.
        level: Coverage probability.

    Raises:
        ValueError: There are fewer than two values, or one is not finite.
    """
    values = checked_sample(x)
    half = t_quantile(level, len(values) - 1) * float(values.std(ddof=1)) / sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean - half, mean + half)


def skewness(x: ArrayLike) -> float:
    """Return the sample skewness of values that are not all equal: the third central moment over sd cubed.

    Args:
        x: Values of shape (n,), n >= 2.

    Raises:
        ValueError: There are fewer than two values, or one is not finite.
    """
    values = checked_sample(x)
    away = (values - values.mean()) / values.std()
    return float((away**3).mean())


def wilson(successes: float, n: int, level: float = 0.95) -> Interval:
    """Return the confidence interval of a share (Wilson 1927), within [0, 1].

    Args:
        successes: Number of successes; a tie may count as one half.
        n: Number of trials, at least 1.
        level: Coverage probability.

    Raises:
        ValueError: n < 1, or successes is outside [0, n].
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, found {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"0 <= successes <= n = {n} is required, found {successes}")
    z2 = normal_quantile(level) ** 2
    middle = (successes + z2 / 2.0) / (n + z2)
    half = sqrt(z2 * (successes * (n - successes) / n + z2 / 4.0)) / (n + z2)
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return Interval(low, 1.0 if successes == n else min(1.0, middle + half))


def sd_upper(x: ArrayLike, level: float = 0.8) -> float:
    """Return the upper confidence limit of the standard deviation of normal values, by chi-squared.

    A plan based on the sample's own sd has too few pairs about half of the time.

    Args:
        x: Values of shape (n,), n >= 2.
        level: Confidence level of the limit.

    Raises:
        ValueError: There are fewer than two values, or one is not finite.
    """
    check_fraction("level", level)
    values = checked_sample(x)
    df = len(values) - 1
    return float(values.std(ddof=1)) * sqrt(df / float(special.chdtri(df, level)))


def power(sd: float, effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the probability that the two-sided paired t-test with n pairs detects a true mean delta of `effect`.

    Args:
        sd: Standard deviation of the deltas, in metric units.
        effect: True mean delta, in the same units.
        n: Number of pairs, at least 2.
        alpha: Level of the test.

    Raises:
        ValueError: sd is negative, n < 2, or alpha is outside (0, 1).
    """
    _check(sd, n, alpha)
    if sd == 0.0:
        return 1.0 if effect else alpha
    return _noncentral_power(abs(effect) / sd * sqrt(n), n, alpha)


def pairs_needed(sd: float, effect: float, alpha: float = 0.05, power: float = 0.8, most: int = 10_000) -> int | None:
    """Return the smallest number of pairs with which the two-sided paired t-test detects `effect` with this power.

    Args:
        sd: Standard deviation of the deltas; use `sd_upper` of the existing pairs rather than their sd.
        effect: Smallest mean delta that matters (the margin), in the unit of sd.
        alpha: Level of the test.
        power: Required probability of detection.
        most: Largest number of pairs to consider.

    Returns:
        At least 2; None if more than `most` pairs are needed.

    Raises:
        ValueError: effect <= 0, sd is negative, or alpha or power is outside (0, 1).
    """
    _check(sd, 2, alpha)
    check_fraction("power", power)
    if not effect > 0.0:
        raise ValueError(f"effect must be > 0, found {effect}")

    def enough(n: int) -> bool:
        return sd == 0.0 or effect / sd * sqrt(n) >= _noncentrality(n, alpha, power)

    high = 2
    while not enough(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = max(1, high // 2)  # not enough, or below the minimum number of pairs
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle >= 2 and enough(middle) else (middle, high)
    return high


def detectable(sd: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true mean delta that n pairs detect with this power, in the unit of sd.

    Raises:
        ValueError: sd is negative, n < 2, or alpha or power is outside (0, 1).
    """
    _check(sd, n, alpha)
    check_fraction("power", power)
    return _noncentrality(n, alpha, power) * sd / sqrt(n)


def _check(sd: float, n: int, alpha: float) -> None:
    if not 0.0 <= sd < inf:
        raise ValueError(f"sd must be finite and >= 0, found {sd}")
    if n < 2:
        raise ValueError(f"at least 2 pairs are required, found {n}")
    check_fraction("alpha", alpha)


@lru_cache(maxsize=256)
def _scaled_chi(df: int) -> tuple[Floats, Floats]:
    """Return points and weights of sqrt(chi2(df)/df), by the trapezoidal rule over normal scores."""
    scores = np.linspace(-8.0, 8.0, 1601)
    weights = np.exp(-(scores**2) / 2.0)
    lower = special.gammaincinv(df / 2.0, special.ndtr(np.minimum(scores, 0.0)))
    upper = special.gammainccinv(df / 2.0, special.ndtr(-np.maximum(scores, 0.0)))
    return np.sqrt(2.0 * np.where(scores < 0.0, lower, upper) / df), weights / weights.sum()


def _noncentral_power(noncentrality: float, n: int, alpha: float) -> float:
    # The noncentral t of scipy is NaN at many ordinary points (df = 2, noncentrality 8.6), hence this integral.
    scale, weights = _scaled_chi(n - 1)
    threshold = t_quantile(1.0 - alpha, n - 1) * scale
    found = special.ndtr(noncentrality - threshold) + special.ndtr(-noncentrality - threshold)
    return float(weights @ found)


@lru_cache(maxsize=4096)
def _noncentrality(n: int, alpha: float, power: float) -> float:
    """Return the noncentrality at which the test has this power."""
    if power <= alpha:
        return 0.0
    high = 4.0
    while _noncentral_power(high, n, alpha) < power:
        high *= 2.0
    return float(optimize.brentq(lambda x: _noncentral_power(x, n, alpha) - power, 0.0, high))
