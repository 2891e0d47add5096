"""Runs that trained for different times cannot be compared by their last values: at which epoch they can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.sweep.evidence import SweepEvidence
from sweeps.run_state import RunState

ENOUGH_RUNS = 20  # runs: below it a later epoch is not worth the runs that it costs
MIN_RUNS = 8  # runs: below it nothing is ranked at all


@dataclass(frozen=True)
class Fidelity:
    """The scores of a sweep after the same number of epochs.

    Attributes:
        epoch: After which.
        scores: Run number -> the sweep's metric after that epoch. A run that diverged at or before it is as bad as the
            worst of the others: that a recipe diverges is a result. One that failed tells nothing of its recipe.
        diverged: How many of them diverged.
        of: Runs that the sweep has.
    """

    epoch: int
    scores: Mapping[int, float]
    diverged: int
    of: int

    @property
    def words(self) -> str:
        """Name the comparison in a sentence."""
        some = f", {self.diverged} of them diverged and counted as the worst" if self.diverged else ""
        return f"after epoch {self.epoch}, which {len(self.scores)} of {self.of} runs reached{some}"


def comparable_scores(evidence: SweepEvidence, wanted: int = ENOUGH_RUNS, least: int = MIN_RUNS) -> Fidelity | None:
    """Return the scores at the latest rung, or at the full budget, that enough runs reached.

    A later epoch says more about the final score, and has fewer runs, selected by an earlier score. With fewer than
    `wanted` at every epoch, the one with the most runs is taken; None where that has fewer than `least`.

    Args:
        evidence: The sweep.
        wanted: Runs that a later epoch must have.
        least: Runs that any epoch must have.
    """
    found = [scores_after(evidence, epoch) for epoch in (*evidence.rungs, evidence.budget)]
    enough = [one for one in found if len(one.scores) >= wanted]
    if enough:
        return enough[-1]
    most = max(found, key=lambda one: (len(one.scores), one.epoch))
    return most if len(most.scores) >= least else None


def scores_after(evidence: SweepEvidence, epoch: int) -> Fidelity:
    """Return the scores after one epoch."""
    scores = dict(evidence.at(epoch))
    lost = [
        run.number
        for run in evidence.runs
        if run.state is RunState.DIVERGED and run.number not in scores and run.epoch <= epoch
    ]
    if scores:
        worst = min(scores.values()) if evidence.maximize else max(scores.values())
        scores |= dict.fromkeys(lost, worst)
    kept = {number: score for number, score in sorted(scores.items()) if math.isfinite(score)}
    return Fidelity(epoch, kept, len(lost) if kept else 0, len(evidence.runs))
