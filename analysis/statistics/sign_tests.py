"""Exact tests of counts: McNemar's test for one pair of models, and the sign test for pairs with failed runs."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from analysis.statistics.comparison import Goal, improvement


def mcnemar(b: int, c: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947) for ONE pair of models on the same examples.

    The test says nothing about new seeds; for several pairs use `two_level`.

    Args:
        b: Number of examples that only the control classifies correctly.
        c: Number of examples that only the treatment classifies correctly.

    Raises:
        ValueError: A count is negative.
    """
    if min(b, c) < 0:
        raise ValueError(f"counts must be >= 0, found {min(b, c)}")
    return min(1.0, 2.0 * float(special.bdtr(min(b, c), b + c, 0.5)))


@dataclass(frozen=True, slots=True)
class WorstRank:
    """Counts over pairs in which a failed run has the worst possible value.

    Attributes:
        n: Number of started pairs.
        wins: Number of pairs in which the treatment is better, or only the control failed.
        ties: Number of pairs with equal values, or in which both failed.
        losses: Number of pairs in which the treatment is worse, or only the treatment failed.
        failed_control: Number of failed runs of the control.
        failed_treatment: Number of failed runs of the treatment.
        p: Exact two-sided p-value of the sign test without ties; 1 if there are only ties.
    """

    n: int
    wins: int
    ties: int
    losses: int
    failed_control: int
    failed_treatment: int
    p: float

    @property
    def favours(self) -> Literal["treatment", "control", "neither"]:
        """The arm that wins more pairs."""
        if self.wins == self.losses:
            return "neither"
        return "treatment" if self.wins > self.losses else "control"

    def __str__(self) -> str:
        return (
            f"failed runs ranked as worst: treatment wins {self.wins}, ties {self.ties}, loses {self.losses} of "
            f"{self.n} pairs (failed: control {self.failed_control}, treatment {self.failed_treatment}; "
            f"sign test p={self.p:.3g})"
        )


def worst_rank(control: ArrayLike, treatment: ArrayLike, goal: Goal) -> WorstRank:
    """Return wins and losses over all started pairs, with a failed run worse than any finished one.

    This is a sensitivity analysis for the comparison of complete pairs: if both point in the same direction, the
    failures did not cause the conclusion.

    Args:
        control: Metric of the control, shape (n,), n >= 1; a non-finite value is a failed run.
        treatment: Metric of the treatment in the same pairs, shape (n,).
        goal: Whether a smaller or a larger metric is better.

    Raises:
        ValueError: There are no pairs, or the arms differ in shape.
    """
    sign = improvement(1.0, goal)
    a, b = (sign * np.asarray(arm, dtype=np.float64) for arm in (control, treatment))
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"both arms must have shape (n,), n >= 1, found {a.shape} and {b.shape}")
    failed_a, failed_b = ~np.isfinite(a), ~np.isfinite(b)
    a, b = np.where(failed_a, -np.inf, a), np.where(failed_b, -np.inf, b)
    wins, losses = int((b > a).sum()), int((b < a).sum())
    return WorstRank(
        n=len(a),
        wins=wins,
        ties=len(a) - wins - losses,
        losses=losses,
        failed_control=int(failed_a.sum()),
        failed_treatment=int(failed_b.sum()),
        p=mcnemar(wins, losses),
    )
