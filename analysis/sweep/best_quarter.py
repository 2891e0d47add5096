"""Which runs are the best quarter, and how much of an axis bad runs may take from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.statistics.comparison import Goal

REACH = 1.5  # times the way from the median to the best, on the bad side of the median
ROOM = 0.1  # of what is shown, below it: for what lies beyond
MIN_VALUES = 8  # values: of fewer all are shown


class Window(NamedTuple):
    """The values worth an axis.

    Attributes:
        low: End.
        high: The other.
        beyond: How many values lie outside, all on the bad side.
    """

    low: float
    high: float
    beyond: int


def best_quarter(scores: Sequence[float | None], goal: Goal) -> tuple[int, ...]:
    """Return the places of the best quarter of the scores, one at least, the best first, the earlier of two equal."""
    sign = -1.0 if goal == "maximize" else 1.0
    known = [(sign * score, index) for index, score in enumerate(scores) if score is not None]
    return tuple(index for _, index in sorted(known)[: math.ceil(len(known) / 4)])


def window(values: Sequence[float], goal: Goal, reach: float = REACH) -> Window | None:
    """Return the ends between which values can be told apart; None where a few bad ones do not crowd out the rest.

    Args:
        values: What an axis is to show.
        goal: Which side is the good one: all of it is shown.
        reach: How far the axis goes beyond the median on the other side, in ways from the median to the best.
    """
    sign = 1.0 if goal == "maximize" else -1.0
    turned = sign * np.asarray([value for value in values if math.isfinite(value)], dtype=np.float64)
    if len(turned) < MIN_VALUES:
        return None
    middle, top = float(np.median(turned)), float(turned.max())
    floor = middle - reach * (top - middle)
    inside = turned[turned >= floor]
    if top == middle or len(inside) == len(turned):
        return None
    worst = float(inside.min())
    ends = (sign * (worst - ROOM * (top - worst)), sign * top)
    return Window(min(ends), max(ends), len(turned) - len(inside))
