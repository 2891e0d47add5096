"""The best quarter of the runs, and the range of an axis that bad runs do not distort."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.statistics.comparison import Goal

REACH = 1.5  # length of the axis beyond the median, as a multiple of the distance from the median to the best
ROOM = 0.1  # share of the shown range, left free for the values beyond it
MIN_VALUES = 8  # with fewer values, all are shown


class Window(NamedTuple):
    """Range of an axis.

    Attributes:
        low: Lower end.
        high: Upper end.
        beyond: Number of values outside, all on the bad side.
    """

    low: float
    high: float
    beyond: int


def best_quarter(scores: Sequence[float | None], goal: Goal) -> tuple[int, ...]:
    """Return the indices of the best quarter of the scores, at least one, best first; the earlier one in a tie."""
    sign = -1.0 if goal == "maximize" else 1.0
    known = [(sign * score, index) for index, score in enumerate(scores) if score is not None]
    return tuple(index for _, index in sorted(known)[: math.ceil(len(known) / 4)])


def window(values: Sequence[float], goal: Goal, reach: float = REACH) -> Window | None:
    """Return the range that shows the good values in detail; None if all values can be shown.

    Args:
        values: Values to show.
        goal: Which side is the good one; it is always shown completely.
        reach: Length of the axis beyond the median on the other side, as a multiple of the distance from the median
            to the best value.
    """
    sign = 1.0 if goal == "maximize" else -1.0
    oriented = sign * np.asarray([value for value in values if math.isfinite(value)], dtype=np.float64)
    if len(oriented) < MIN_VALUES:
        return None
    middle, top = float(np.median(oriented)), float(oriented.max())
    floor = middle - reach * (top - middle)
    inside = oriented[oriented >= floor]
    if top == middle or len(inside) == len(oriented):
        return None
    worst = float(inside.min())
    ends = (sign * (worst - ROOM * (top - worst)), sign * top)
    return Window(min(ends), max(ends), len(oriented) - len(inside))
