"""Scores after the same number of epochs: the last values of runs that stopped at different epochs do not compare."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.sweep.evidence import SweepEvidence
from search_spaces.values import counted
from sweeps.run_state import RunState

ENOUGH_RUNS = 20  # with fewer runs, a later epoch is not preferred to an earlier one with more runs
MIN_RUNS = 8  # with fewer runs, nothing is compared


@dataclass(frozen=True)
class Fidelity:
    """Scores of a sweep after the same number of epochs.

    Attributes:
        epoch: Number of epochs.
        scores: Run number -> the sweep's metric after that epoch. A run that diverged at or before it counts as the
            worst of the others, because divergence is a result. A failed run gives no information about its recipe.
        diverged: Number of them that diverged.
        of: Number of runs of the sweep.
        unit: What is counted as epochs: "epoch" or "step".
    """

    epoch: int
    scores: Mapping[int, float]
    diverged: int
    of: int
    unit: str

    @property
    def words(self) -> str:
        """The epoch and the number of runs, for a sentence."""
        some = f" ({self.diverged} of them diverged, counted as the worst)" if self.diverged else ""
        return f"after {self.unit} {self.epoch}, which {len(self.scores)} of {counted(self.of, 'run')} reached{some}"


def comparable_scores(evidence: SweepEvidence, wanted: int = ENOUGH_RUNS, least: int = MIN_RUNS) -> Fidelity | None:
    """Return the scores at the latest rung, or at the full budget, that enough runs reached.

    A later epoch is closer to the final score, but has fewer runs, which were selected by an earlier score. If no
    epoch has `wanted` runs, the one with the most runs is used; None if it has fewer than `least`.

    Args:
        evidence: The sweep.
        wanted: Sufficient number of runs for the latest epoch.
        least: Minimum number of runs.
    """
    found = [scores_after(evidence, epoch) for epoch in (*evidence.rungs, evidence.budget)]
    enough = [one for one in found if len(one.scores) >= wanted]
    if enough:
        return enough[-1]
    most = max(found, key=lambda one: (len(one.scores), one.epoch))
    return most if len(most.scores) >= least else None


def scores_after(evidence: SweepEvidence, epoch: int) -> Fidelity:
    """Return the scores after this epoch."""
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
    return Fidelity(epoch, kept, len(lost) if kept else 0, len(evidence.runs), evidence.spec.recipe.budget.unit)
