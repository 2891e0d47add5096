"""Exact tests of counts: one pair of trained models over examples, and pairs of which runs failed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from analysis.statistics.comparison import Goal, improvement


def mcnemar(b: int, c: int) -> float:
    """Exact two-sided p-value of McNemar's test (1947), for ONE pair of trained models over the same examples.

    It says nothing about new seeds: over several pairs use `two_level`.

    Args:
        b: Examples that only the control has right.
        c: Examples that only the treatment has right.

    Raises:
        ValueError: A negative count.
    """
    if min(b, c) < 0:
        raise ValueError(f"counts are >= 0, found {min(b, c)}")
    return min(1.0, 2.0 * float(special.bdtr(min(b, c), b + c, 0.5)))


@dataclass(frozen=True, slots=True)
class WorstRank:
    """Pairs counted with a failed run as the worst possible value.

    Attributes:
        n: Pairs that were started.
        wins: Pairs in which the treatment is better, or alone finished.
        ties: Pairs with equal values, or in which both failed.
        losses: Pairs in which the treatment is worse, or alone failed.
        failed_control: Runs of the control that failed.
        failed_treatment: Runs of the treatment that failed.
        p: Exact two-sided p-value of the sign test, without ties; 1 when there are only ties.
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
        """Return the arm that wins more pairs."""
        if self.wins == self.losses:
            return "neither"
        return "treatment" if self.wins > self.losses else "control"

    def __str__(self) -> str:
        return (
            f"failed runs as worst: treatment wins {self.wins}, ties {self.ties}, loses {self.losses} of {self.n} "
            f"pairs (failed: control {self.failed_control}, treatment {self.failed_treatment}; "
            f"sign test p={self.p:.3g})"
        )


def worst_rank(control: ArrayLike, treatment: ArrayLike, goal: Goal) -> WorstRank:
    """Count wins and losses of all pairs that were started, a failed run being worse than any that finished.

    The sensitivity line beside the analysis of complete pairs: when both point the same way, the failures did not
    make the conclusion.

    Args:
        control: The metric of the control, shape (n,), n >= 1; a value that is not finite is a failed run.
        treatment: The metric of the treatment in the same pairs, shape (n,).
        goal: Whether a smaller or a larger metric is better.

    Raises:
        ValueError: No pairs, or arms of different shape.
    """
    sign = improvement(1.0, goal)
    a, b = (sign * np.asarray(arm, dtype=np.float64) for arm in (control, treatment))
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"both arms have shape (n,), n >= 1, found {a.shape} and {b.shape}")
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
