"""Where a value lies in the range that it was searched in, and what counts as an edge of it."""

from __future__ import annotations

import math

from search_spaces import Distribution, LogUniform, Value

EDGE = 0.1
"""A best point within this share of an end of its range is at its edge."""


def position(distribution: Distribution, value: Value) -> float | None:
    """Where a value lies between the ends of a range, 0 to 1; None where there is no such thing as between."""
    low, high = distribution.edges()[0], distribution.edges()[-1]
    numbers = (low, value, high)
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
        return None
    a, x, b = (float(one) for one in numbers if isinstance(one, int | float))
    if isinstance(distribution, LogUniform):
        if x <= 0:
            return -math.inf
        a, x, b = math.log(a), math.log(x), math.log(b)
    return (x - a) / (b - a) if b > a else None
