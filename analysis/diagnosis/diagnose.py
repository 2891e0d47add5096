"""Curves of a run -> what is wrong with it, the evidence, and what to try next.

    findings = diagnose(curves_of(epochs_frame(url, name, number), recipe, state=state, classes=10))

`RULES` is the whole method. *Alarms* are errors and warnings; an info is no alarm (`findings.Severity`). Where a rule
asks for more than the usual form of it, its docstring says so. A threshold stands as a constant above the rules that
use it, with its source; those without one are this project's, and the tests bound how often they err: on clean noisy
curves with known truth at most one run in twenty is alarmed, and nine of ten planted problems are found.
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

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RULES", "Code", "Curves", "Finding", "Severity", "curves_of", "diagnose"]

EVALS = 8
STEPS = 200


class Needs(Enum):
    """What a rule must have before it says anything."""

    EPOCHS = "8 epochs"  # the shape of a curve: two hundred steps of one epoch are one point of it
    STEPS = "8 epochs or 200 steps"  # what every epoch aggregates over its steps


class Rule(NamedTuple):
    """One rule: what it finds, what it needs, and itself. It sees curves that are finite throughout."""

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
"""Every rule about a run by itself, in order of precedence. Before them comes NAN, which must be said of any run."""


def diagnose(curves: Curves, neighbours: Sequence[Curves] = ()) -> tuple[Finding, ...]:
    """Return everything there is to say about a run: alarms first, and both kinds in the order of `Code`.

    Args:
        curves: Of the run. After a number that is not finite, what came before it is judged by the other rules.
        neighbours: Other runs of the sweep whose learning rates compare with this one's: of the same optimizer.
    """
    finite = curves.finite()
    long, stepped = len(finite) >= EVALS, len(finite) * (finite.steps_per_epoch or 0) >= STEPS
    found = [not_finite(curves)]
    found += [rule.check(finite) for rule in RULES if long or (stepped and rule.needs is Needs.STEPS)]
    if not any(finding and finding.code is Code.LR_TOO_HIGH for finding in found):
        found.append(near_divergence(curves, neighbours))
    if not long:
        found.append(_too_short(len(finite)))
    order = list(Code)
    return tuple(
        sorted((finding for finding in found if finding), key=lambda one: (not one.alarm, order.index(one.code)))
    )


def _too_short(epochs: int) -> Finding:
    return Finding(
        Code.TOO_SHORT,
        Severity.INFO,
        f"{epochs} epochs are too short to tell what a curve does: it takes {EVALS}.",
        f"Train {EVALS} epochs or more, or read a longer run of the sweep.",
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
) -> Curves:
    """Read one run's rows of `analysis.load.epochs_frame`: columns epoch, name, value.

    A metric that an epoch lacks is left out, as `test/*` is, which the last epoch alone reports: in the database a
    number that is not finite is a row too. What else is known of a run, `dataclasses.replace` puts in.

    Args:
        frame: Rows of one run.
        recipe: Of the run.
        state: Of the run, as `sweeps.run_state.RunState` spells it.
        metric: What the sweep selects on.
        maximize: Whether more of it is better.
        classes: Of the task, if it is a classification.
        steps_per_epoch: Optimizer steps, if known.
    """
    epochs = np.unique(frame["epoch"].to_numpy(dtype=np.int64))
    series = _complete(frame, len(epochs))
    return Curves(
        epochs=epochs,
        series=series,
        budget=recipe.budget.epochs,
        state=state,
        metric=metric,
        maximize=maximize,
        classes=classes,
        lr=recipe.optimizer.lr,
        warmup=_warmup(recipe, series.get("train/lr"), steps_per_epoch),
        clips=recipe.regularization.clip_norm is not None or recipe.regularization.clip_value is not None,
        steps_per_epoch=steps_per_epoch,
    )


def _complete(frame: pd.DataFrame, epochs: int) -> dict[str, FloatArray]:
    """Return the metrics that every epoch has, by name, oldest value first."""
    by_name = frame.sort_values("epoch").groupby("name")
    return {str(name): rows["value"].to_numpy(dtype=np.float64) for name, rows in by_name if len(rows) == epochs}


def _warmup(recipe: Recipe, rates: FloatArray | None, steps: int | None) -> float:
    """Epochs until the peak of the learning rate. A number of steps is read off the rates if no epoch's is known."""
    schedule = recipe.schedule
    if isinstance(schedule, Cyclical):
        return 0.0
    if isinstance(schedule, OneCycle):
        return schedule.rise * recipe.budget.epochs
    if schedule.warmup_steps is None:
        return schedule.warmup * recipe.budget.epochs
    if steps is not None:
        return schedule.warmup_steps / steps
    return 0.0 if rates is None or not len(rates) else float(np.argmax(rates))
