"""Comparison of two arms over the same pairs: effect, intervals, p-values, and the number of pairs needed."""

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
    skewness,
    t_interval,
    t_p_value,
    wilson,
)
from analysis.statistics.leave_one_out import LeaveOneOut, leave_one_out, spread
from analysis.statistics.permutation import PERMUTATIONS, sign_flip_p

Goal = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a treatment with its control over n pairs. Deltas are treatment - control, in metric units.

    Attributes:
        deltas: Delta of each pair, in the order of the pairs.
        goal: Whether a smaller or a larger metric is better.
        alpha: Level of the test; the level of the interval is 1 - alpha.
        margin: Smallest delta that matters, as declared by the user; None if not declared.
        n: Number of pairs.
        delta: Mean delta.
        sd: Standard deviation of the deltas; None for one pair, exactly 0 if they differ by rounding only.
        skewness: Sample skewness of the deltas; None below 3 pairs or without a positive sd.
        interval: Paired t interval of the mean delta at level 1 - alpha; None without a positive sd.
        interval90: Paired t interval at level 1 - 2 alpha; if it is inside the margin, TOST rejects at alpha.
        p_t: p-value of the paired t-test; None without a positive sd.
        p_permutation: p-value of the sign-flip test; None below 6 pairs, because it cannot reach .05 there.
        wins: Number of pairs in which the treatment is better.
        ties: Number of pairs with a delta of exactly 0.
        losses: Number of pairs in which the treatment is worse.
        p_win: Wilson interval of P(treatment better in a pair) at level 1 - alpha; a tie counts one half.
        rho: Pearson correlation of the arms over pairs; None below 3 pairs, without arms, or if an arm is constant.
        efficiency: Var(delta) / (Var(control) + Var(treatment)); pairing helped if it is below 1.
        leave_one_out: Result of leaving out each pair; None for one pair.
        needed: Number of further pairs that detect the margin with power .8, for the 80 % upper limit of sd; 0 if no
            more are needed; None without a margin, without a positive sd, or above 10,000 pairs.
        detectable: Mean delta that n pairs detect with power .8 at this sd; None without a positive sd.
    """

    deltas: tuple[float, ...]
    goal: Goal
    alpha: float
    margin: float | None
    n: int
    delta: float
    sd: float | None
    skewness: float | None
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
        """The p-value for `holm`: that of the t-test, so that it agrees with the interval.

        Without spread there is no t-test, and the sign-flip test replaces it from 6 pairs on.
        """
        return self.p_permutation if self.sd == 0.0 else self.p_t

    @property
    def d_z(self) -> float | None:
        """Standardised effect of pairs: mean delta over sd of the deltas; None without a positive sd."""
        return self.delta / self.sd if self.sd else None

    @property
    def tests_disagree(self) -> bool:
        """Whether only one of the t-test and the sign-flip test rejects at alpha, if both of them can."""
        if self.p_t is None or self.p_permutation is None or 2.0 ** (1 - self.n) > self.alpha:
            return False
        return (self.p_t <= self.alpha) != (self.p_permutation <= self.alpha)

    @property
    def improvement(self) -> float:
        """Mean delta, positive when the treatment is better."""
        return improvement(self.delta, self.goal)

    @property
    def beyond_margin(self) -> bool:
        """Whether the interval is entirely outside +-margin, on either side."""
        if self.interval is None or self.margin is None:
            return False
        return self.interval.low >= self.margin or self.interval.high <= -self.margin


def improvement(delta: float, goal: Goal) -> float:
    """Return the delta, with its sign changed if necessary so that positive is better.

    Raises:
        ValueError: The goal is unknown.
    """
    if goal not in ("maximize", "minimize"):
        raise ValueError(f"goal must be maximize or minimize, found {goal!r}")
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
        control: Metric of the control, shape (n,), n >= 1, without the pairs in which a run failed; see `worst_rank`
            for those.
        treatment: Metric of the treatment in the same pairs, shape (n,).
        goal: Whether a smaller or a larger metric is better.
        rng: Generator for the signs of the permutation test above 16 pairs.
        margin: Smallest delta that matters, in metric units; None if not declared.
        alpha: Level of the test: .05, or that of the planned look.
        permutations: Number of random sign vectors above 16 pairs; 0 for no permutation test at any n.

    Raises:
        ValueError: There are no pairs, the arms differ in length, a value is not finite, margin <= 0, or 2 alpha is
            outside (0, 1).
    """
    a, b = checked_sample(control, 1, "values of the control"), checked_sample(treatment, 1, "values of the treatment")
    if len(a) != len(b):
        raise ValueError(f"both arms must have a value in every pair, found {len(a)} and {len(b)} values")
    deltas = b - a
    if np.ptp(deltas) <= 4.0 * np.finfo(np.float64).eps * max(np.abs(a).max(), np.abs(b).max()):
        deltas[:] = deltas[0]  # they differ by the rounding of the subtraction only
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
    """Compare as `compare` does, from deltas without arms, such as those of a `contrast`; rho and efficiency are None.

    Args:
        deltas: Delta of each pair, treatment - control in metric units, shape (n,), n >= 1.
        goal: Whether a smaller or a larger metric is better.
        rng: Generator for the signs of the permutation test above 16 pairs.
        margin: Smallest delta that matters, in metric units.
        alpha: Level of the test.
        permutations: Number of random sign vectors above 16 pairs; 0 for no permutation test at any n.

    Raises:
        ValueError: Same as for `compare`.
    """
    x = checked_sample(deltas, 1, "deltas")
    check_fraction("2 alpha", 2.0 * alpha)
    if margin is not None and not 0.0 < margin < inf:
        raise ValueError(f"margin must be > 0 and finite, found {margin}")
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
        skewness=skewness(x) if sd and n >= 3 else None,
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
    {"ab": 1, "a": -1, "b": -1, "none": 1}: the effect of A with B minus its effect without B.

    Args:
        values: Metric of each arm over the same pairs, each of shape (n,).
        coefficients: Weight of each arm in the contrast; the weights sum to 0.

    Raises:
        ValueError: An arm is unknown, the coefficients do not sum to 0, the arms differ in length, or a value is not
            finite.
    """
    unknown = sorted(set(coefficients) - set(values))
    if unknown or not coefficients:
        raise ValueError(
            f"a contrast must use the arms {', '.join(sorted(values))}, found {', '.join(unknown) or 'none'}"
        )
    weights = np.array(list(coefficients.values()), dtype=np.float64)
    if not abs(weights.sum()) <= 1e-9 * np.abs(weights).sum():
        raise ValueError(f"the coefficients of a contrast must sum to 0, found {weights.sum():g}")
    arms = [checked_sample(values[name], 1, f"values of {name}") for name in coefficients]
    if len({len(arm) for arm in arms}) > 1:
        raise ValueError("all arms must have a value in every pair, found arms of different length")
    terms = weights[:, np.newaxis] * np.stack(arms)
    total = np.asarray(terms.sum(axis=0), dtype=np.float64)
    rounding = 4.0 * np.finfo(np.float64).eps * np.abs(terms).sum(axis=0)
    total[np.abs(total) <= rounding] = 0.0
    return total


def _pairing(a: Floats, b: Floats) -> tuple[float | None, float | None]:
    """Return the correlation of the arms and the pairing efficiency, None where they are not defined."""
    if len(a) < 2:
        return None, None
    var_a, var_b = float(a.var(ddof=1)), float(b.var(ddof=1))
    efficiency = float((b - a).var(ddof=1)) / (var_a + var_b) if var_a + var_b > 0.0 else None
    if len(a) < 3 or var_a == 0.0 or var_b == 0.0:  # two points always lie on a line
        return None, efficiency
    covariance = float(((a - a.mean()) * (b - b.mean())).sum()) / (len(a) - 1)
    return float(np.clip(covariance / (sqrt(var_a) * sqrt(var_b)), -1.0, 1.0)), efficiency


def _planning(deltas: Floats, sd: float | None, margin: float | None, alpha: float) -> tuple[int | None, float | None]:
    """Return how many more pairs detect the margin, and the smallest effect that these pairs detect."""
    if not sd:
        return None, None
    total = None if margin is None else pairs_needed(sd_upper(deltas), margin, alpha)
    return None if total is None else max(0, total - len(deltas)), detectable(sd, len(deltas), alpha)
