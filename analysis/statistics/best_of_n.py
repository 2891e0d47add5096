"""The expected best of n tries, which shows whether a search was long enough."""

import math

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.comparison import Goal
from analysis.statistics.intervals import Floats


def expected_best(values: ArrayLike, goal: Goal) -> Floats:
    """Return the expected best of n of these tries, drawn without replacement, for n = 1 .. N; shape ``(N,)``.

    Source: Dodge et al., "Show Your Work: Improved Reporting of Experimental Results", EMNLP 2019, in its unbiased
    form (Tang et al., "Showing Your Work Doesn't Always Work", ACL 2020).

    Args:
        values: Score of each try, shape ``(N,)``; a non-finite score counts as the worst finite one.
        goal: Whether a larger or a smaller score is better.

    Raises:
        ValueError: No score is finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        raise ValueError("expected_best needs a finite value")
    worst = finite.min() if goal == "maximize" else finite.max()
    ranked = np.sort(np.where(np.isfinite(scores), scores, worst))
    if goal == "minimize":
        ranked = ranked[::-1]  # from worst to best
    total = len(ranked)
    curve = []
    for n in range(1, total + 1):
        # P(the score of rank i is the best of n): it is drawn, and the other n - 1 rank below it.
        shares = [math.comb(i, n - 1) / math.comb(total, n) for i in range(total)]
        curve.append(float(np.dot(shares, ranked)))
    return np.array(curve)
