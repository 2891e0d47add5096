"""Scores after the same number of epochs: the last values of runs that stopped at different epochs do not compare."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.sweep.evidence import INFEASIBLE, SweepEvidence
from search_spaces.values import counted

MIN_RUNS = 8  # with fewer runs, nothing is compared


@dataclass(frozen=True)
class Fidelity:
    """Scores of a sweep after the same number of epochs.

    Attributes:
        epoch: Number of epochs.
        scores: Run number -> the sweep's metric after that epoch. A run that diverged or failed before it counts as the
            worst of the others, because a recipe that cannot be trained is a result.
        lost: Number of them that diverged or failed before it.
        of: Number of runs of the sweep.
        unit: What is counted as epochs: "epoch" or "step".
    """

    epoch: int
    scores: Mapping[int, float]
    lost: int
    of: int
    unit: str

    @property
    def words(self) -> str:
        """The epoch and the number of runs, for a sentence."""
        count = len(self.scores) - self.lost
        reached = f"after {self.unit} {self.epoch}, which {count} of {counted(self.of, 'run')} reached"
        return f"{reached} ({self.lost} diverged or failed before, counted as the worst)" if self.lost else reached


def comparable_scores(evidence: SweepEvidence, least: int = MIN_RUNS) -> Fidelity | None:
    """Return the scores at the latest rung that all runs reached; at the full budget if no run was stopped.

    Later scores of the runs that were not stopped are closer to the final ones, but an earlier score selected these
    runs: they differ less than all runs do, and their number says nothing about the number of good recipes. While runs
    are still training, the rung with the most scores is used.

    Args:
        evidence: The sweep.
        least: Minimum number of runs; with fewer, the result is None.
    """
    found = [scores_after(evidence, epoch) for epoch in (*evidence.rungs, evidence.budget)]
    most = max(found, key=lambda one: (len(one.scores), one.epoch))
    return most if len(most.scores) >= least else None


def scores_after(evidence: SweepEvidence, epoch: int) -> Fidelity:
    """Return the scores after this epoch."""
    scores = dict(evidence.at(epoch))
    worst = min(scores.values(), key=lambda score: evidence.sign * score, default=None)
    lost = [run.number for run in evidence.runs if run.state in INFEASIBLE and run.number not in scores]
    if worst is not None:
        scores |= dict.fromkeys(lost, worst)
    unit = evidence.spec.recipe.budget.unit
    return Fidelity(epoch, dict(sorted(scores.items())), len(lost) if scores else 0, len(evidence.runs), unit)
