"""The expected best of n tries: whether a search was long enough, and from how many tries one arm beats another."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.comparison import Goal, improvement
from analysis.statistics.intervals import Floats

RESAMPLES = 2_000
"""Number of times that the tries are drawn again, with replacement, for the interval of a lead."""


@dataclass(frozen=True)
class Lead:
    """From how many tries on the treatment is expected to beat the control.

    Attributes:
        total: Number of tries of each arm.
        tries: Smallest number of tries from which on its expected best is better, up to all tries; None if it is not
            better with all of them.
        low: Lower end of the 95 % interval of `tries`; None for more than `total`.
        high: Upper end.
        share: Share of the resamples in which it is better with all tries.
        control_tries: Same as `tries` for the control; both are None only if the best tries are equal.
    """

    total: int
    tries: int | None
    low: int | None
    high: int | None
    share: float
    control_tries: int | None


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
    return _curves(_scores(values, goal), goal)


def lead(control: ArrayLike, treatment: ArrayLike, goal: Goal, rng: np.random.Generator) -> Lead:
    """Return from how many tries on the treatment is expected to beat the control, by `expected_best` of both.

    The interval has the 2.5 % and 97.5 % quantiles over tries that are drawn again with replacement, by index, so that
    a point that both arms tried stays with both.

    Args:
        control: Score of each try of the control, shape ``(N,)``; a non-finite score counts as the worst finite one.
        treatment: Score of the treatment at the same indices, shape ``(N,)``.
        goal: Whether a larger or a smaller score is better.
        rng: Generator of the resamples.

    Raises:
        ValueError: The arms differ in length, or an arm has no finite score.
    """
    a, b = _scores(control, goal), _scores(treatment, goal)
    if len(a) != len(b):
        raise ValueError(f"both arms must have the same number of tries, found {len(a)} and {len(b)}")
    total = len(a)
    drawn = rng.integers(0, total, (RESAMPLES, total))
    found = np.sort(_first_lead(_curves(b[drawn], goal) - _curves(a[drawn], goal), goal))
    ends = found[int(0.025 * RESAMPLES)], found[math.ceil(0.975 * RESAMPLES) - 1]
    deltas = (_curves(b, goal) - _curves(a, goal))[np.newaxis]
    firsts = _first_lead(deltas, goal)[0], _first_lead(-deltas, goal)[0]
    tries, control_tries, low, high = (None if n > total else int(n) for n in (*firsts, *ends))
    return Lead(total, tries, low, high, float((found <= total).mean()), control_tries)


def _scores(values: ArrayLike, goal: Goal) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        raise ValueError("expected_best needs a finite value")
    worst = finite.min() if goal == "maximize" else finite.max()
    return np.where(np.isfinite(scores), scores, worst)


def _curves(scores: Floats, goal: Goal) -> Floats:
    """Return the expected best of 1 .. N tries along the last axis."""
    ranked = np.sort(scores, axis=-1)
    if goal == "minimize":
        ranked = ranked[..., ::-1]  # from worst to best
    return np.asarray(ranked @ _shares(scores.shape[-1]).T)


@lru_cache(maxsize=16)
def _shares(total: int) -> Floats:
    """Return P(the score of rank i is the best of n), in row n - 1: it is drawn, and the other n - 1 rank below it."""
    return np.array([[math.comb(i, n - 1) / math.comb(total, n) for i in range(total)] for n in range(1, total + 1)])


def _first_lead(deltas: Floats, goal: Goal) -> Floats:
    """Return, for each row, the smallest n from which on all deltas are improvements; N + 1 if the last is none."""
    leads = improvement(1.0, goal) * deltas > 0.0
    for_good = np.logical_and.accumulate(leads[:, ::-1], axis=1)
    return np.asarray(deltas.shape[1] + 1 - for_good.sum(axis=1))
