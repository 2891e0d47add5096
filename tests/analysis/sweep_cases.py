"""Sweeps to report on, with formulas instead of trainings; one has texts that are all attacks."""

from __future__ import annotations

from typing import Any

from search_spaces import Choice, LogUniform, Metric, NoStopping, Recipe, SpaceSpec, Uniform
from tests.analysis.made_sweeps import LR
from tests.analysis.report_cases import ATTACKS
from tests.fakes import CurveRunner, analytic, space, unstable


def hostile_space() -> SpaceSpec:
    recipe = space().recipe.model_copy(update={"custom": {"word": ATTACKS[0]}})
    search = {"custom.word": Choice(list(ATTACKS)), LR: LogUniform(1e-5, 1e-1), "schedule.warmup": Uniform(0.0, 0.3)}
    return space(recipe=recipe, search=search, runs=16)


def hostile_curve(recipe: Recipe, epoch: int) -> dict[str, float]:
    if recipe.optimizer.lr > 0.03:
        raise ZeroDivisionError(ATTACKS[1])
    return analytic(recipe, epoch)


def broken(recipe: Recipe, epoch: int) -> dict[str, float]:
    raise ZeroDivisionError("always")


def nll(**changes: Any) -> SpaceSpec:
    return space(metric=Metric(name="val/nll", goal="minimize"), early_stopping=NoStopping(), **changes)


SWEEPS: dict[str, tuple[SpaceSpec, CurveRunner]] = {
    "plain": (space(runs=24), CurveRunner(unstable)),
    "nll": (nll(runs=18), CurveRunner(analytic)),
    "hostile": (hostile_space(), CurveRunner(hostile_curve)),
    "broken": (space(runs=3), CurveRunner(broken)),
    "one recipe": (space(runs=1, search={}), CurveRunner(analytic)),
}
