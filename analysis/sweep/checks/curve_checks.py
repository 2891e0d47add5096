"""Checks along the training: rungs that rank runs rightly, and a budget of the right length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.diagnosis.fit_rules import undertrained
from analysis.diagnosis.smoothing import centred_mean, noise
from analysis.statistics.intervals import Floats
from analysis.sweep.diagnoses import run_curves
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.rung_correlation import MIN_RUNS, RungCorrelation
from analysis.sweep.score_noise import score_noise
from sweeps.run_state import RunState
from trainers.check import Check, Outcome, passed, warned

TELLS = 0.5  # rank correlation from which an early score is worth stopping by
TOP = 5  # complete runs that are asked about the budget: bad ones need none
EVALS = 8
FIRST, LAST = 0.1, 0.25
WORTH = 0.005  # of the score: the end of a cosine gains by a hair at every step
CLEAR = 2.0  # standard deviations of a difference


def rung_check(evidence: SweepEvidence, correlations: Sequence[RungCorrelation]) -> Check:
    """Whether the score at the rungs ranks runs as the final score does."""
    name = "rank correlation of the rungs"
    final = [row for row in correlations if row.later == evidence.budget]
    known = [row for row in final if row.spearman is not None] or [
        row for row in correlations if row.spearman is not None
    ]
    if not known:
        most = max((row.runs for row in final), default=0)
        text = f"{most} runs have a score at a rung and at the full budget: too few to tell, it takes {MIN_RUNS}."
        next_step = "Read it off a sweep with early_stopping: {kind: none}, or train more runs to the end."
        return warned(name, text, next_step)
    row = known[0]
    text = f"{_sentence(row)}{' Runs were stopped there, and the survivors differ less.' if row.stopped else ''}"
    rho = row.spearman or 0.0
    if rho >= TELLS:
        return passed(name, text)
    better = next((one.rung for one in known[1:] if (one.spearman or 0.0) >= TELLS), None)
    later = f"grace_epochs: {better}" if better else "a longer grace_epochs, or early_stopping: {kind: none}"
    # A few survivors that are ranked otherwise are no verdict: stopping took the runs away that would have agreed.
    wrong = rho <= 0.0 and not row.stopped and row.interval is not None and row.interval.high < TELLS
    next_step = f"Stop later: {later}; a score that does not rank runs stops the wrong ones."
    return Check(name, Outcome.FAIL if wrong else Outcome.WARN, text, next_step)


def _sentence(row: RungCorrelation) -> str:
    low, high = row.interval or (float("nan"), float("nan"))
    return (
        f"The scores after epoch {row.rung} and epoch {row.later} rank {row.runs} runs with a Spearman correlation of"
        f" {row.spearman:.2f} [{low:.2f}, {high:.2f}] (Kendall {row.kendall:.2f})."
    )


def stopped_ahead_check(evidence: SweepEvidence) -> Check | None:
    """Whether a run was stopped with a better value than the winner ended with; None where nothing was stopped."""
    best = evidence.best
    stopped = [run for run in evidence.runs if run.state is RunState.STOPPED and run.value is not None]
    if best is None or best.value is None or not stopped:
        return None
    name, found = "stopped ahead of the winner", score_noise(evidence)
    # Two scores differ by chance by sqrt(2) standard deviations, and it is the best of many that is compared.
    bar = best.value * evidence.sign + (CLEAR * math.sqrt(2.0) * found.sd if found else 0.0)
    ahead = [run for run in stopped if evidence.sign * (run.value or 0.0) > bar]
    if not ahead:
        text = f"No run of {len(stopped)} was stopped with a better value than run {best.number} ended with."
        return passed(name, text)
    first = max(ahead, key=lambda run: (evidence.sign * (run.value or 0.0), -run.number))
    text = (
        f"{len(ahead)} of {len(stopped)} stopped runs were better than run {best.number} at its end ({best.value:.4g}),"
        f" by more than the noise: run {first.number} had {first.value:.4g} after epoch {first.epoch}."
    )
    next_step = f"Train them to the end: sweeps confirm {evidence.spec.name}, or a sweep with a longer grace_epochs."
    return warned(name, text, next_step)


@dataclass(frozen=True)
class _Shape:
    """Where the smoothed score of one complete run is best."""

    number: int
    epoch: int
    of: int
    early: bool
    late: bool


def budget_checks(evidence: SweepEvidence) -> tuple[Check, ...]:
    """Return whether the budget was too long, too short, and whether the best runs still improve at its end."""
    runs = [run for run in evidence.ranked if len(run.curve) >= EVALS][:TOP]
    if not runs:
        text = f"No complete run has {EVALS} evaluations: too short to tell what a longer or shorter budget would do."
        return (warned("best epoch", text, f"Train {EVALS} epochs or more."),)
    shapes = [_shape(run.number, list(run.curve), _turned(evidence, run.curve.values())) for run in runs]
    return _best_epoch(shapes), _improving(evidence, [run.number for run in runs])


def _turned(evidence: SweepEvidence, values: Iterable[float]) -> Floats:
    return evidence.sign * np.array(list(values), dtype=np.float64)


def _shape(number: int, epochs: Sequence[int], scores: Floats) -> _Shape:
    """A best epoch in the last quarter counts where it is better by more than the noise, and by half a percent."""
    smooth = centred_mean(scores)
    best, before = int(np.argmax(smooth)), int(np.ceil((1.0 - LAST) * len(smooth)))
    gain = float(smooth[before:].max() - smooth[:before].max())
    bar = max(noise(scores[len(scores) // 2 :]), WORTH * abs(float(smooth[best])))
    late = best >= before and gain > bar
    return _Shape(number, epochs[best], epochs[-1], best < max(1.0, FIRST * len(smooth)), late)


def _best_epoch(shapes: Sequence[_Shape]) -> Check:
    name = "best epoch"
    where = ", ".join(f"{one.epoch} of {one.of} (run {one.number})" for one in shapes)
    text = f"The smoothed score of the {len(shapes)} best complete runs is best at epoch {where}."
    early, late = (sum(flags) for flags in ([one.early for one in shapes], [one.late for one in shapes]))
    if 2 * early > len(shapes):
        next_step = "The budget is too long: shorten it so that the schedule ends earlier, or lower the learning rate."
        return warned(name, f"{text} {early} are in the first 10 %.", next_step)
    if 2 * late > len(shapes):
        more = f"{text} {late} are in the last 25 %, and better there by more than the noise of the curve."
        return warned(name, more, "Train longer: raise budget.epochs by half, and the grace with it.")
    return passed(name, text)


def _improving(evidence: SweepEvidence, numbers: Sequence[int]) -> Check:
    """By the curve rule UNDERTRAINED."""
    curves = run_curves(evidence, numbers)
    found = {number: undertrained(curves[number]) for number in numbers}
    said = [f"run {number}: {one.evidence}" for number, one in found.items() if one is not None]
    name = "still improving at the end"
    if 2 * len(said) > len(numbers):
        text = f"{len(said)} of the {len(numbers)} best complete runs still improve; {said[0]}"
        return warned(name, text, "Train longer, or raise the learning rate.")
    text = f"{len(said)} of the {len(numbers)} best complete runs still improve at the end of the budget."
    return passed(name, text)
