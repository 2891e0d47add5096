"""Two arms over the same pairs: how far apart they are, how surely, and how many more pairs would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import (
    Floats,
    Interval,
    check_fraction,
    checked_sample,
    detectable,
    pairs_needed,
    sd_upper,
    t_interval,
    t_p_value,
    wilson,
)
from analysis.statistics.leave_one_out import LeaveOneOut, leave_one_out, spread
from analysis.statistics.permutation import PERMUTATIONS, sign_flip_p

Goal = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against its control over n pairs. Deltas are treatment - control, in metric units.

    Attributes:
        deltas: One a pair, in the order of the pairs.
        goal: Whether a smaller or a larger metric is better.
        alpha: Level of the test; the interval covers with 1 - alpha.
        margin: Smallest delta that matters, as the user declared it; None when not declared.
        n: Pairs.
        delta: Mean delta.
        sd: Standard deviation of the deltas; None for one pair, exactly 0 when they differ by rounding alone.
        interval: Paired t interval of the mean delta, level 1 - alpha; None without a positive sd.
        interval90: The same at level 1 - 2 alpha: inside the margin, both one-sided tests of TOST reject at alpha.
        p_t: p-value of the paired t-test; None without a positive sd.
        p_permutation: p-value of the sign-flip test; None below 6 pairs, where it cannot reach .05.
        wins: Pairs in which the treatment is better.
        ties: Pairs with a delta of exactly 0.
        losses: Pairs in which the treatment is worse.
        p_win: Wilson interval of P(treatment better in a pair), level 1 - alpha; a tie counts one half.
        rho: Pearson correlation of the arms over pairs; None below 3 pairs, without arms, or when one is constant.
        efficiency: Var(delta) / (Var(control) + Var(treatment)): below 1 pairing helped, from 1 on it bought nothing.
        leave_one_out: None for one pair.
        needed: How many more pairs detect the margin with power .8, by the 80 % upper limit of sd; 0 when there are
            enough, None without a margin, without a positive sd, or beyond 10,000 pairs.
        detectable: Mean delta that n pairs detect with power .8 at this sd; None without a positive sd.
    """

    deltas: tuple[float, ...]
    goal: Goal
    alpha: float
    margin: float | None
    n: int
    delta: float
    sd: float | None
    interval: Interval | None
    interval90: Interval | None
    p_t: float | None
    p_permutation: float | None
    wins: int
    ties: int
    losses: int
    p_win: Interval
    rho: float | None
    efficiency: float | None
    leave_one_out: LeaveOneOut | None
    needed: int | None
    detectable: float | None

    @property
    def p(self) -> float | None:
        """The p-value for `holm`: of the t-test, so that it agrees with the interval.

        Without spread there is no t-test, and the sign-flip test stands in from 6 pairs on.
        """
        return self.p_permutation if self.sd == 0.0 else self.p_t

    @property
    def improvement(self) -> float:
        """The mean delta, positive when the treatment is better."""
        return improvement(self.delta, self.goal)

    @property
    def beyond_margin(self) -> bool:
        """Whether the interval lies wholly outside +-margin, on either side."""
        if self.interval is None or self.margin is None:
            return False
        return self.interval.low >= self.margin or self.interval.high <= -self.margin


def improvement(delta: float, goal: Goal) -> float:
    """Return the delta with the sign that makes better positive.

    Raises:
        ValueError: An unknown goal.
    """
    if goal not in ("maximize", "minimize"):
        raise ValueError(f"goal is maximize or minimize, found {goal!r}")
    return delta if goal == "maximize" else -delta


def compare(
    control: ArrayLike,
    treatment: ArrayLike,
    goal: Goal,
    rng: np.random.Generator,
    margin: float | None = None,
    alpha: float = 0.05,
    permutations: int = PERMUTATIONS,
) -> Comparison:
    """Compare two arms over complete pairs of one metric.

    Args:
        control: The metric of the control, shape (n,), n >= 1. Pairs that a failed run left are not among them: see
            `worst_rank` for those.
        treatment: The metric of the treatment in the same pairs, shape (n,).
        goal: Whether a smaller or a larger metric is better.
        rng: Draws the signs of the permutation test above 16 pairs.
        margin: Smallest delta that matters, in metric units; None when the user declared none.
        alpha: Level of the test: .05, or that of the planned look.
        permutations: Signs drawn above 16 pairs; 0 leaves the permutation test out at any n.

    Raises:
        ValueError: No pairs, arms of different length, a value that is not finite, margin <= 0, or 2 alpha outside
            (0, 1).
    """
    a, b = checked_sample(control, 1, "values of the control"), checked_sample(treatment, 1, "values of the treatment")
    if len(a) != len(b):
        raise ValueError(f"both arms have a value in every pair, found {len(a)} and {len(b)} values")
    deltas = b - a
    if np.ptp(deltas) <= 4.0 * np.finfo(np.float64).eps * max(np.abs(a).max(), np.abs(b).max()):
        deltas[:] = deltas[0]  # they differ by the rounding of the subtraction alone
    rho, efficiency = _pairing(a, b)
    return replace(compare_deltas(deltas, goal, rng, margin, alpha, permutations), rho=rho, efficiency=efficiency)


def compare_deltas(
    deltas: ArrayLike,
    goal: Goal,
    rng: np.random.Generator,
    margin: float | None = None,
    alpha: float = 0.05,
    permutations: int = PERMUTATIONS,
) -> Comparison:
    """`compare` for deltas that come without arms, as those of a `contrast`: rho and efficiency are None.

    Args:
        deltas: One a pair, treatment - control in metric units, shape (n,), n >= 1.
        goal: As for `compare`, like all that follow.
        rng: Draws the signs of the permutation test above 16 pairs.
        margin: Smallest delta that matters, in metric units.
        alpha: Level of the test.
        permutations: Signs drawn above 16 pairs; 0 leaves the permutation test out at any n.

    Raises:
        ValueError: As for `compare`.
    """
    x = checked_sample(deltas, 1, "deltas")
    check_fraction("2 alpha", 2.0 * alpha)
    if margin is not None and not 0.0 < margin < inf:
        raise ValueError(f"margin > 0 and finite, found {margin}")
    n, delta, sd = len(x), float(x.mean()), spread(x)
    wins, ties = int((improvement(1.0, goal) * x > 0.0).sum()), int((x == 0.0).sum())
    needed, least = _planning(x, sd, margin, alpha)
    return Comparison(
        deltas=tuple(x.tolist()),
        goal=goal,
        alpha=alpha,
        margin=margin,
        n=n,
        delta=delta,
        sd=sd,
        interval=t_interval(x, 1.0 - alpha) if sd else None,
        interval90=t_interval(x, 1.0 - 2.0 * alpha) if sd else None,
        p_t=t_p_value(delta / (sd / sqrt(n)), n - 1) if sd else None,
        p_permutation=sign_flip_p(x, rng, permutations) if permutations else None,
        wins=wins,
        ties=ties,
        losses=n - wins - ties,
        p_win=wilson(wins + ties / 2.0, n, 1.0 - alpha),
        rho=None,
        efficiency=None,
        leave_one_out=leave_one_out(x, alpha),
        needed=needed,
        detectable=least,
    )


def contrast(values: Mapping[str, ArrayLike], coefficients: Mapping[str, float]) -> Floats:
    """Return a contrast of arms in every pair, shape (n,): an effect of a factorial design, for `compare_deltas`.

    In a 2 x 2 design the main effect of A is {"a": .5, "ab": .5, "none": -.5, "b": -.5}, and the interaction is
    {"ab": 1, "a": -1, "b": -1, "none": 1}: what A does with B, less what it does without.

    Args:
        values: The metric of each arm over the same pairs, each of shape (n,).
        coefficients: The weight of each arm that takes part; they sum to 0.

    Raises:
        ValueError: Unknown arms, coefficients that do not sum to 0, arms of different length or not finite values.
    """
    unknown = sorted(set(coefficients) - set(values))
    if unknown or not coefficients:
        raise ValueError(
            f"a contrast is over the arms {', '.join(sorted(values))}, found {', '.join(unknown) or 'none'}"
        )
    weights = np.array(list(coefficients.values()), dtype=np.float64)
    if not abs(weights.sum()) <= 1e-9 * np.abs(weights).sum():
        raise ValueError(f"the coefficients of a contrast sum to 0, found {weights.sum():g}")
    arms = [checked_sample(values[name], 1, f"values of {name}") for name in coefficients]
    if len({len(arm) for arm in arms}) > 1:
        raise ValueError("all arms have a value in every pair, found arms of different length")
    terms = weights[:, np.newaxis] * np.stack(arms)
    total = np.asarray(terms.sum(axis=0), dtype=np.float64)
    total[np.abs(total) <= 4.0 * np.finfo(np.float64).eps * np.abs(terms).sum(axis=0)] = (
        0.0  # rounding is not an effect
    )
    return total


def _pairing(a: Floats, b: Floats) -> tuple[float | None, float | None]:
    """The correlation of the arms and the pairing efficiency, None where they are not defined."""
    if len(a) < 2:
        return None, None
    var_a, var_b = float(a.var(ddof=1)), float(b.var(ddof=1))
    efficiency = float((b - a).var(ddof=1)) / (var_a + var_b) if var_a + var_b > 0.0 else None
    if len(a) < 3 or var_a == 0.0 or var_b == 0.0:  # two points always lie on a line
        return None, efficiency
    covariance = float(((a - a.mean()) * (b - b.mean())).sum()) / (len(a) - 1)
    return float(np.clip(covariance / (sqrt(var_a) * sqrt(var_b)), -1.0, 1.0)), efficiency


def _planning(deltas: Floats, sd: float | None, margin: float | None, alpha: float) -> tuple[int | None, float | None]:
    """How many more pairs detect the margin, and what these pairs detect."""
    if not sd:
        return None, None
    total = None if margin is None else pairs_needed(sd_upper(deltas), margin, alpha)
    return None if total is None else max(0, total - len(deltas)), detectable(sd, len(deltas), alpha)
