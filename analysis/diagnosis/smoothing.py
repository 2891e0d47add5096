"""Smoothing, noise and trend of short series, for the rules about training curves.

Every series is a one-dimensional array of finite numbers, one per record, in chronological order.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826  # median absolute value of a centred normal -> its standard deviation
_SECOND_DIFFERENCE = np.sqrt(6.0)  # a - 2b + c of independent noise has the variance 6 sigma^2
_NORMAL_975 = 1.959964


class Trend(NamedTuple):
    """Slope per record, with its 95 % interval."""

    slope: float
    low: float
    high: float


def ema(values: FloatArray, half_life: float) -> FloatArray:
    """Return the exponential moving average that starts at the first value.

    Args:
        values: Shape `(n,)`.
        half_life: Number of records after which the weight of a value is halved; far below 1 nothing is smoothed.
    """
    keep = 0.5 ** (1.0 / half_life)
    smooth = np.array(values, dtype=np.float64)
    for i in range(1, len(smooth)):
        smooth[i] = keep * smooth[i - 1] + (1.0 - keep) * smooth[i]
    return smooth


def noise(values: FloatArray) -> float:
    """Return the standard deviation about the trend, from second differences; 0 for fewer than three values.

    A smooth trend hardly affects second differences, and a few outliers hardly affect their median.
    """
    if len(values) < 3:
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(np.diff(values, 2))) / _SECOND_DIFFERENCE)


def centred_mean(values: FloatArray) -> FloatArray:
    """Return the mean of every record and its neighbours: of three records, and of two at the ends.

    The lowest of `n` noisy records is about two sigma below the curve, so the records after it look like a rise. The
    lowest of these means is about one sigma below.
    """
    total = np.convolve(values, np.ones(3), "same")
    return np.asarray(total / np.convolve(np.ones(len(values)), np.ones(3), "same"), dtype=np.float64)


def theil_sen(values: FloatArray) -> Trend:
    """Return the median of the slopes between all pairs of records, and its 95 % interval.

    Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968: the interval is cut from the sorted
    slopes by the variance of Kendall's statistic.

    Args:
        values: Shape `(n,)`, at least three values.
    """
    n = len(values)
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((values[second] - values[first]) / (second - first))
    width = _NORMAL_975 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    low = max(0, round((len(slopes) - width) / 2.0) - 1)
    high = min(len(slopes) - 1, round((len(slopes) + width) / 2.0))
    return Trend(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def first_streak(flags: BoolArray, length: int) -> int | None:
    """Return the index of the first `length` consecutive true records; None if there are none."""
    count = 0
    for i, flag in enumerate(flags.tolist()):
        count = count + 1 if flag else 0
        if count == length:
            return i - length + 1
    return None
