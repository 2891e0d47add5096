"""Position of a value in the range it was searched in, and what counts as an edge."""

import math

from search_spaces import Distribution, LogUniform, Value

EDGE = 0.1
"""Share of a range, from either end, that counts as its edge."""


def position(distribution: Distribution, value: Value) -> float | None:
    """Return the position of a value in a range, from 0 to 1; None where the range or the value is not numeric."""
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
