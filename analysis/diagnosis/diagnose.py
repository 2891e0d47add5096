"""Diagnoses a run from its curves: problems, evidence and suggestions.

    findings = diagnose(curves_of(epochs_frame(url, name, number), recipe, state=state, classes=10))

`RULES` lists all rules. *Alarms* are errors and warnings; an info is not an alarm (`findings.Severity`). If a rule has
more conditions than its usual form, its docstring says so. Thresholds are constants above the rules, with their
sources. Thresholds without a source were chosen for this project, and tests bound their error rates: on synthetic
noisy curves at most one healthy run in twenty has an alarm, and nine of ten planted problems are found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.diagnosis.fit_rules import (
    chance,
    overfit,
    overfit_confidence,
    plateau,
    too_long,
    underfit,
    undertrained,
    val_better,
)
from analysis.diagnosis.loss_rules import diverged, lr_too_high, near_divergence, not_finite, oscillating, spikes
from analysis.diagnosis.smoothing import FloatArray
from analysis.diagnosis.step_rules import clipping, gradient_explodes, gradient_vanishes, initial_loss, update_ratio
from search_spaces import Recipe
from search_spaces.recipe.schedules import Cyclical, OneCycle
from search_spaces.values import counted

if TYPE_CHECKING:
    import pandas as pd

EVALS = 8
STEPS = 200


class Needs(Enum):
    """Minimum length of a run for a rule."""

    EPOCHS = "8 epochs"  # for rules about the shape of a curve, which has one point per epoch
    STEPS = "8 epochs or 200 steps"  # for rules about values that each epoch aggregates over its steps


class Rule(NamedTuple):
    """A rule with its code and the length of run that it needs. The curves that it checks are finite."""

    code: Code
    needs: Needs
    check: Callable[[Curves], Finding | None]


RULES: tuple[Rule, ...] = (
    Rule(Code.DIVERGED, Needs.EPOCHS, diverged),
    Rule(Code.LR_TOO_HIGH, Needs.EPOCHS, lr_too_high),
    Rule(Code.GRAD_EXPLODE, Needs.STEPS, gradient_explodes),
    Rule(Code.GRAD_VANISH, Needs.STEPS, gradient_vanishes),
    Rule(Code.CHANCE, Needs.EPOCHS, chance),
    Rule(Code.INIT_LOSS, Needs.STEPS, initial_loss),
    Rule(Code.UNDERFIT, Needs.EPOCHS, underfit),
    Rule(Code.SPIKES, Needs.EPOCHS, spikes),
    Rule(Code.OSCILLATING, Needs.EPOCHS, oscillating),
    Rule(Code.CLIP_HIGH, Needs.STEPS, clipping),
    Rule(Code.UPDATE_RATIO, Needs.STEPS, update_ratio),
    Rule(Code.OVERFIT, Needs.EPOCHS, overfit),
    Rule(Code.OVERFIT_CONFIDENCE, Needs.EPOCHS, overfit_confidence),
    Rule(Code.VAL_BETTER, Needs.EPOCHS, val_better),
    Rule(Code.TOO_LONG, Needs.EPOCHS, too_long),
    Rule(Code.UNDERTRAINED, Needs.EPOCHS, undertrained),
    Rule(Code.PLATEAU, Needs.EPOCHS, plateau),
)
"""All rules about a single run, in order of precedence. NAN comes before them and applies to runs of any length."""


def diagnose(curves: Curves, neighbours: Sequence[Curves] = ()) -> tuple[Finding, ...]:
    """Return all findings of a run: alarms first, each group in the order of `Code`.

    Args:
        curves: Curves of the run. If a value is not finite, the other rules check the records before it.
        neighbours: Other runs of the sweep with comparable learning rates, that is, with the same optimizer.
    """
    finite = curves.finite()
    long, stepped = len(finite) >= EVALS, finite.steps >= STEPS
    found = [not_finite(curves)]
    found += [rule.check(finite) for rule in RULES if long or (stepped and rule.needs is Needs.STEPS)]
    if not any(finding and finding.code is Code.LR_TOO_HIGH for finding in found):
        found.append(near_divergence(curves, neighbours))
    if not long:
        found.append(_too_short(len(finite), finite.record))
    order = list(Code)
    return tuple(
        sorted((finding for finding in found if finding), key=lambda one: (not one.alarm, order.index(one.code)))
    )


def _too_short(records: int, record: str) -> Finding:
    return Finding(
        Code.TOO_SHORT,
        Severity.INFO,
        f"The run has {counted(records, record)}; a diagnosis of its curves needs at least {EVALS}.",
        f"Report at least {EVALS} {record}s, or look at a longer run of the sweep.",
    )


def curves_of(
    frame: pd.DataFrame,
    recipe: Recipe,
    *,
    state: str,
    metric: str = "val/nll",
    maximize: bool = False,
    classes: int | None = None,
    steps_per_epoch: int | None = None,
    command: bool = False,
) -> Curves:
    """Return the curves of one run from its rows of `analysis.load.epochs_frame` (columns epoch, name, value).

    Metrics that are missing in some epoch are omitted, such as `test/*`, which only the last epoch reports. Non-finite
    values are rows of the database, too. Other facts about a run can be set with `dataclasses.replace`.

    Args:
        frame: Rows of one run.
        recipe: Recipe of the run.
        state: Value of the `sweeps.run_state.RunState` of the run.
        metric: Metric that the sweep selects on.
        maximize: Whether a larger metric is better.
        classes: Number of classes, if the task is a classification.
        steps_per_epoch: Number of optimizer steps per epoch, if known.
        command: Whether a program trained the run, which reads only the arguments and the budget of the recipe.
    """
    epochs = np.unique(frame["epoch"].to_numpy(dtype=np.int64))
    series = _complete(frame, len(epochs))
    return Curves(
        epochs=epochs,
        series=series,
        budget=recipe.budget.length,
        state=state,
        metric=metric,
        maximize=maximize,
        classes=classes,
        lr=None if command else recipe.optimizer.lr,
        warmup=0.0
        if command
        else _warmup(recipe, series.get("train/lr"), 1 if recipe.budget.unit == "step" else steps_per_epoch),
        clips=not command
        and (recipe.regularization.clip_norm is not None or recipe.regularization.clip_value is not None),
        steps_per_epoch=steps_per_epoch,
        unit=recipe.budget.unit,
        command=command,
    )


def _complete(frame: pd.DataFrame, epochs: int) -> dict[str, FloatArray]:
    """Return the metrics that every epoch has, by name, in the order of the epochs."""
    by_name = frame.sort_values("epoch").groupby("name")
    return {str(name): rows["value"].to_numpy(dtype=np.float64) for name, rows in by_name if len(rows) == epochs}


def _warmup(recipe: Recipe, rates: FloatArray | None, steps: int | None) -> float:
    """Return the epochs or steps until the peak learning rate.

    They are read from the rates if the warmup is in steps of unknown duration.

    Args:
        recipe: Recipe of the run.
        rates: Learning rates of the epochs.
        steps: Number of optimizer steps per epoch, or 1 for a budget of steps.
    """
    schedule = recipe.schedule
    if isinstance(schedule, Cyclical):
        return 0.0
    if isinstance(schedule, OneCycle):
        return schedule.rise * recipe.budget.length
    if schedule.warmup_steps is None:
        return schedule.warmup * recipe.budget.length
    if steps is not None:
        return schedule.warmup_steps / steps
    return 0.0 if rates is None or not len(rates) else float(np.argmax(rates))
