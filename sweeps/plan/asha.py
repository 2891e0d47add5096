"""Asynchronous successive halving (ASHA): decides from recorded values alone which runs stop.

This is the stopping variant of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"): a run
that reaches a rung continues if its value is among the top ``1 / reduction_factor`` of the values recorded at that rung
before. It uses no clock, no random numbers and no scheduler, and is rebuilt from the database.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from search_spaces import Asha, Budget, NoStopping
from search_spaces.recipe.reported import Goal


def rung_epochs(rule: Asha | NoStopping, budget: Budget) -> tuple[int, ...]:
    """Return the epochs or steps at which runs are compared: ``grace * factor**k``, all below the full budget.

    Args:
        rule: Early-stopping rule of the space.
        budget: Length of a full run. A run that trained all of it is complete, never stopped.
    """
    if isinstance(rule, NoStopping):
        return ()
    rungs = []
    epoch = rule.first_rung(budget)
    while epoch < budget.length:
        rungs.append(epoch)
        epoch *= rule.reduction_factor
    return tuple(rungs)


def cutoff(earlier: Sequence[float], reduction_factor: int, goal: Goal) -> float | None:
    """Return the worst value with which a run continues, given the earlier values at its rung.

    Args:
        earlier: Finite values of the other runs at this rung, in any order.
        reduction_factor: ``eta``; the top ``1 / eta`` continues.
        goal: Direction of the metric.

    Returns:
        The linearly interpolated quantile; ``None`` without earlier values, because the first run always continues.
    """
    if not earlier:
        return None
    sign = 1 if goal == "maximize" else -1  # both goals round alike, so a tie in one is a tie in the other
    return sign * float(np.quantile(sign * np.asarray(earlier), 1 - 1 / reduction_factor))


class Rungs:
    """The values recorded at each rung, in the order of recording.

    A value counts at the highest rung that its epoch has reached, since a metric may be reported only now and then; a
    run has one value at a rung, the first.

    Args:
        epochs: Rungs, from `rung_epochs`.
        reduction_factor: ``eta``.
        goal: Direction of the metric.
        recorded: ``(run number, epoch, value)`` of the values in the database, in the order of recording.
        length: Length of a full run, whose last value is compared with no other.
    """

    def __init__(
        self,
        epochs: Sequence[int],
        reduction_factor: int,
        goal: Goal,
        recorded: Iterable[tuple[int, int, float]] = (),
        length: float = math.inf,
    ) -> None:
        self._length = length
        self._values: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}
        self._reduction_factor = reduction_factor
        self._goal = goal
        for number, epoch, value in recorded:
            if (rung := self._at(epoch)) is not None:
                rung.setdefault(number, value)

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Record a finite value at a rung and return whether the run stops there.

        A run that repeats the epoch after a crash does not stop: it continued when the value was first recorded.
        """
        rung = self._at(epoch)
        if rung is None or number in rung:
            return False
        bound = cutoff(tuple(rung.values()), self._reduction_factor, self._goal)
        rung[number] = value
        if bound is None:
            return False
        return value < bound if self._goal == "maximize" else value > bound

    def _at(self, epoch: int) -> dict[int, float] | None:
        """Return the values at the highest rung that an epoch has reached; None before the first, and at the end."""
        below = [rung for rung in self._values if rung <= epoch]
        return self._values[max(below)] if below and epoch < self._length else None

    def reached(self) -> dict[int, int]:
        """Return rung -> number of runs with a recorded value."""
        return {epoch: len(values) for epoch, values in self._values.items()}
