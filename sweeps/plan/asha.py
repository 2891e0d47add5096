"""Asynchronous successive halving: which runs stop, decided from recorded values alone.

The stopping variant of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"): a run that
reaches a rung goes on while its value there belongs to the top ``1 / reduction_factor`` of the values that were
recorded at that rung before it. Pure: no clock, no random numbers, no scheduler; rebuilt from the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from search_spaces import Asha, NoStopping
from search_spaces.specs.space import Goal


def rung_epochs(rule: Asha | NoStopping, epochs: int) -> tuple[int, ...]:
    """Epoch counts at which runs are compared: ``grace * factor**k``, all below the full budget.

    Args:
        rule: The early-stopping rule of the space.
        epochs: Full budget of a run. A run that trained all of it is complete, never stopped.
    """
    if isinstance(rule, NoStopping):
        return ()
    rungs = []
    epoch = rule.grace_epochs
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= rule.reduction_factor
    return tuple(rungs)


def cutoff(earlier: Sequence[float], reduction_factor: int, goal: Goal) -> float | None:
    """The worst value that still goes on, given the values recorded at a rung before.

    Args:
        earlier: Finite values of the other runs at this rung, in any order.
        reduction_factor: ``eta``; the top ``1 / eta`` goes on.
        goal: Whether larger or smaller values are better.

    Returns:
        The linearly interpolated quantile, or ``None`` when nothing was recorded before: the first run goes on.
    """
    if not earlier:
        return None
    sign = 1 if goal == "maximize" else -1  # so that both goals round alike, and a tie is a tie in both
    return sign * float(np.quantile(sign * np.asarray(earlier), 1 - 1 / reduction_factor))


class Rungs:
    """The values recorded at every rung, in the order of recording.

    Args:
        epochs: The rungs, from `rung_epochs`.
        reduction_factor: ``eta``.
        goal: Direction of the metric.
        recorded: ``(run number, epoch, value)`` of what the database holds already; epochs that are no rung are
            passed over.
    """

    def __init__(
        self,
        epochs: Sequence[int],
        reduction_factor: int,
        goal: Goal,
        recorded: Iterable[tuple[int, int, float]] = (),
    ) -> None:
        self._values: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}
        self._reduction_factor = reduction_factor
        self._goal = goal
        for number, epoch, value in recorded:
            if epoch in self._values:
                self._values[epoch].setdefault(number, value)

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Enter a finite value and say whether this run stops here.

        A value that this run recorded before (its epochs are repeated after a crash) was decided on then: it went
        on, or it would not be here.
        """
        rung = self._values.get(epoch)
        if rung is None or number in rung:
            return False
        bound = cutoff(tuple(rung.values()), self._reduction_factor, self._goal)
        rung[number] = value
        if bound is None:
            return False
        return value < bound if self._goal == "maximize" else value > bound

    def reached(self) -> dict[int, int]:
        """Rung -> how many runs have recorded a value there."""
        return {epoch: len(values) for epoch, values in self._values.items()}
