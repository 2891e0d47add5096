"""The confirmation of a sweep: its finalists against its baseline on fresh seeds, as the sweep's report states it."""

from dataclasses import dataclass

from analysis.statistics.intervals import Interval
from analysis.statistics.verdicts import Verdict


@dataclass(frozen=True)
class ConfirmedRun:
    """Verdict about the recipe of one run of a sweep.

    Attributes:
        run: Name of the arm: "run 17".
        best: Whether the recipe is that of the sweep's best run.
        verdict: The verdict, adjusted by Holm over all finalists.
        sentence: The verdict as a sentence.
        delta: Mean over pairs of finalist - baseline, in units of the metric; None without a complete pair.
        interval: 95 % interval of `delta`.
        p: p-value, adjusted by Holm over all finalists.
        pairs: Number of complete pairs.
    """

    run: str
    best: bool
    verdict: Verdict
    sentence: str
    delta: float | None
    interval: Interval | None
    p: float | None
    pairs: int


@dataclass(frozen=True)
class Confirmation:
    """An ablation that compares finalists of a sweep with its baseline on fresh seeds.

    Attributes:
        name: Name of the ablation.
        runs: Number of its runs that have finished.
        planned: Number of its planned runs.
        pairs: Number of planned pairs.
        covers_best: Whether the recipe of the sweep's best run is among the finalists.
        results: Verdicts, the finalist with the best score in the sweep first; empty until every planned pair has
            ended, because a verdict before the end would be an unplanned look.
        others: Names of further confirmations of the sweep. The first one counts: a choice among several would be
            another selection.
    """

    name: str
    runs: int
    planned: int
    pairs: int
    covers_best: bool
    results: tuple[ConfirmedRun, ...]
    others: tuple[str, ...]
