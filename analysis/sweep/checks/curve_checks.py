"""Checks of early stopping and of the length of the budget."""

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
from analysis.wording import part_of
from search_spaces.values import counted
from sweeps.run_state import RunState
from trainers.check import Check, Outcome, passed, warned

MIN_CORRELATION = 0.5  # minimum rank correlation for early stopping by a score
TOP = 5  # number of best complete runs that are checked
EVALS = 8
FIRST, LAST = 0.1, 0.25
MIN_GAIN = 0.005  # share of the score: a cosine schedule improves slightly until its end
CLEAR = 2.0  # standard deviations of a difference


def rung_check(evidence: SweepEvidence, correlations: Sequence[RungCorrelation]) -> Check:
    """Check whether the scores at the rungs rank runs as the final scores do."""
    name = "rank correlation of the rungs"
    final = [row for row in correlations if row.later == evidence.budget]
    known = [row for row in final if row.spearman is not None] or [
        row for row in correlations if row.spearman is not None
    ]
    if not known:
        most = max((row.runs for row in final), default=0)
        have = "has" if most == 1 else "have"
        text = f"{counted(most, 'run')} {have} scores at a rung and at the full budget; at least {MIN_RUNS} are needed."
        next_step = "Measure it in a sweep with early_stopping: {kind: none}, or train more runs to the end."
        return warned(name, text, next_step)
    row = known[0]
    differ = " Runs were stopped there, and the promoted runs differ less." if row.stopped else ""
    text = f"{_sentence(row, evidence.spec.recipe.budget.unit)}{differ}"
    rho, high = row.spearman or 0.0, row.interval.high if row.interval else math.inf
    # The runs that were not stopped differ less than all runs do, which lowers their correlation.
    if rho >= MIN_CORRELATION or (row.stopped and high >= MIN_CORRELATION):
        return passed(name, text)
    better = next((one.rung for one in known[1:] if (one.spearman or 0.0) >= MIN_CORRELATION), None)
    grace = f"grace_{evidence.spec.recipe.budget.unit}s"
    later = f"{grace}: {better}" if better else f"a longer {grace} or early_stopping: {{kind: none}}"
    # Promoted runs alone cannot fail the check: the stopped runs would have increased the correlation.
    wrong = rho <= 0.0 and not row.stopped and high < MIN_CORRELATION
    next_step = f"Stop later, with {later}; a score that does not rank runs stops the wrong ones."
    return Check(name, Outcome.FAIL if wrong else Outcome.WARN, text, next_step)


def _sentence(row: RungCorrelation, unit: str) -> str:
    low, high = row.interval or (float("nan"), float("nan"))
    return (
        f"The scores of {row.runs} runs after {unit} {row.rung} and {unit} {row.later} have a Spearman correlation of"
        f" {row.spearman:.2f} [{low:.2f}, {high:.2f}] (Kendall {row.kendall:.2f})."
    )


def stopped_ahead_check(evidence: SweepEvidence) -> Check | None:
    """Check whether a stopped run had a better value than the winner at its end; None if no run was stopped."""
    best = evidence.best
    stopped = [run for run in evidence.runs if run.state is RunState.STOPPED and run.value is not None]
    if best is None or best.value is None or not stopped:
        return None
    name, found = "stopped ahead of the winner", score_noise(evidence)
    # The difference of two scores has sqrt(2) times their standard deviation, and the best of many is compared.
    bar = best.value * evidence.sign + (CLEAR * math.sqrt(2.0) * found.sd if found else 0.0)
    ahead = [run for run in stopped if evidence.sign * (run.value or 0.0) > bar]
    if not ahead:
        text = f"No stopped run (of {len(stopped)}) had a better value than run {best.number} at its end."
        return passed(name, text)
    unit = evidence.spec.recipe.budget.unit
    first = max(ahead, key=lambda run: (evidence.sign * (run.value or 0.0), -run.number))
    some = part_of(len(ahead), len(stopped), "stopped run", "was", "were")
    text = (
        f"{some} better than run {best.number} at its end ({best.value:.4g}), by more than the noise: run"
        f" {first.number} had {first.value:.4g} after {unit} {first.epoch}."
    )
    next_step = f"Train them to the end: sweeps confirm {evidence.spec.name}, or a sweep with a longer grace_{unit}s."
    return warned(name, text, next_step)


@dataclass(frozen=True)
class _BestEpoch:
    """Epoch at which the smoothed score of one complete run is best."""

    number: int
    epoch: int
    of: int
    early: bool
    late: bool


def budget_checks(evidence: SweepEvidence) -> tuple[Check, ...]:
    """Check whether the budget was too long or too short, and whether the best runs still improve at its end."""
    runs = [run for run in evidence.ranked if len(run.curve) >= EVALS][:TOP]
    unit = evidence.spec.recipe.budget.unit
    if not runs:
        text = f"No complete run has {EVALS} evaluations, so the effect of another budget is unknown."
        return (warned(f"best {unit}", text, f"Evaluate at least {EVALS} times per run."),)
    found = [_find_best_epoch(run.number, list(run.curve), _oriented(evidence, run.curve.values())) for run in runs]
    return _best_epoch(found, unit), _improving(evidence, [run.number for run in runs])


def _oriented(evidence: SweepEvidence, values: Iterable[float]) -> Floats:
    return evidence.sign * np.array(list(values), dtype=np.float64)


def _find_best_epoch(number: int, epochs: Sequence[int], scores: Floats) -> _BestEpoch:
    """Return the best epoch; one in the last quarter counts if it is better by more than the noise and by 0.5 %."""
    smooth = centred_mean(scores)
    best, before = int(np.argmax(smooth)), int(np.ceil((1.0 - LAST) * len(smooth)))
    gain = float(smooth[before:].max() - smooth[:before].max())
    bar = max(noise(scores[len(scores) // 2 :]), MIN_GAIN * abs(float(smooth[best])))
    late = best >= before and gain > bar
    return _BestEpoch(number, epochs[best], epochs[-1], best < max(1.0, FIRST * len(smooth)), late)


def _best_epoch(found: Sequence[_BestEpoch], unit: str) -> Check:
    name = f"best {unit}"
    where = ", ".join(f"{one.epoch} of {one.of} (run {one.number})" for one in found)
    text = f"The smoothed score of the {counted(len(found), 'best complete run')} is best at {unit} {where}."
    early, late = sum(one.early for one in found), sum(one.late for one in found)
    if 2 * early > len(found):
        next_step = "The budget is too long: shorten it so that the schedule ends earlier, or lower the learning rate."
        text += f" {part_of(early, len(found), name, 'is', 'are')} in the first 10 %."
        return warned(name, text, next_step)
    if 2 * late > len(found):
        some = part_of(late, len(found), name, "is", "are")
        text += f" {some} in the last 25 %, and better there by more than the noise of the curve."
        return warned(name, text, f"Train longer: raise budget.{unit}s by half, and grace_{unit}s with it.")
    return passed(name, text)


def _improving(evidence: SweepEvidence, numbers: Sequence[int]) -> Check:
    """Check the best runs with the rule UNDERTRAINED."""
    curves = run_curves(evidence, numbers)
    found = {number: undertrained(curves[number]) for number in numbers}
    said = [f"run {number}: {one.evidence}" for number, one in found.items() if one is not None]
    name = "still improving at the end"
    text = part_of(len(said), len(numbers), "best complete run", "still improves", "still improve")
    if 2 * len(said) > len(numbers):
        return warned(name, f"{text}; {said[0]}", "Train longer, or raise the learning rate.")
    return passed(name, f"{text} at the end of the budget.")
