"""What the database holds of one sweep: its runs, their curves; numbers only, nothing is judged yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.load import epochs_frame, predictions, runs_frame, sweeps_frame
from search_spaces import Distribution, Recipe, SpaceSpec, UsageError, Value, parse_space, suggest
from sweeps.engine.progress import best_run
from sweeps.plan.asha import rung_epochs
from sweeps.plan.search_plan import searched_values
from sweeps.run_state import RunState
from trainers.reports import Predictions

INFEASIBLE = (RunState.DIVERGED, RunState.FAILED)


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep, as the database tells it.

    Attributes:
        number: From 0, the baseline recipe.
        state: What became of it.
        epoch: Epochs trained.
        value: The last finite value of the sweep's metric.
        seconds: Of training.
        seed: Of the training.
        recipe: What was trained.
        recipe_hash: Of the recipe; two runs that share it are repeats with other seeds.
        values: Searched field -> value; without the fields that this recipe has no use for.
        error: Traceback of a failed run.
        curve: Epoch -> the sweep's metric; NaN or infinite where the run reported that.
    """

    number: int
    state: RunState
    epoch: int
    value: float | None
    seconds: float
    seed: int
    recipe: Recipe
    recipe_hash: str
    values: Mapping[str, Value]
    error: str | None
    curve: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class SweepEvidence:
    """Everything that is known of one sweep.

    Attributes:
        spec: As it is stored.
        created_at: UTC.
        provenance: Versions, machine and commit of its first driver.
        runs: By number, from the baseline.
        epochs: One row a number that an epoch reported, as `analysis.load.epochs_frame`.
        predictions: Of the complete runs on `val`, by run and weights, where the task keeps them.
    """

    spec: SpaceSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    runs: tuple[SweepRun, ...]
    epochs: pd.DataFrame
    predictions: Mapping[tuple[int, str], Predictions]

    @cached_property
    def search(self) -> Mapping[str, Distribution]:
        """Distribution of each parameter, by its name: that of its field, or `optimizer[sgd].lr` of an alternative."""
        return {one.name: one.distribution for one in self.spec.parameters.every}

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return self.spec.metric.goal == "maximize"

    @property
    def sign(self) -> float:
        """What turns the metric so that more is better."""
        return 1.0 if self.maximize else -1.0

    @property
    def budget(self) -> int:
        """Epochs of a full run."""
        return self.spec.recipe.budget.epochs

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which runs were compared and stopped."""
        return rung_epochs(self.spec.early_stopping, self.budget)

    @property
    def finished(self) -> tuple[SweepRun, ...]:
        """Runs to which nothing more will happen."""
        return tuple(run for run in self.runs if run.state.finished)

    @cached_property
    def ranked(self) -> tuple[SweepRun, ...]:
        """The complete runs, the best one first, the earlier one of two equal."""
        complete = [run for run in self.runs if run.state is RunState.COMPLETE and run.value is not None]
        return tuple(sorted(complete, key=lambda run: (-self.sign * (run.value or 0.0), run.number)))

    @property
    def best(self) -> SweepRun | None:
        """The complete run with the best value."""
        return best_run(self.runs, self.spec.metric.goal)

    def at(self, epoch: int) -> Mapping[int, float]:
        """Run number -> its value at that epoch, of the runs that have a finite one there."""
        return {run.number: run.curve[epoch] for run in self.runs if math.isfinite(run.curve.get(epoch, math.nan))}

    @cached_property
    def classes(self) -> int | None:
        """Of the task, read off the stored predictions; None without any."""
        labels = [int(max(one.label.max(), one.predicted.max())) for one in self.predictions.values() if len(one.label)]
        return 1 + max(labels) if labels else None

    @cached_property
    def val_examples(self) -> int | None:
        """Of the validation split, where predictions are stored."""
        return next((len(one.label) for one in self.predictions.values()), None)


def read_sweep(url: str, name: str) -> SweepEvidence:
    """Read one sweep.

    Raises:
        UsageError: There is no sweep of that name.
    """
    sweeps = sweeps_frame(url)
    found = sweeps[(sweeps["name"] == name) & (sweeps["kind"] == "sweep")]
    if found.empty:
        names = sweeps[sweeps["kind"] == "sweep"]["name"].tolist()
        raise UsageError(f"no sweep {name!r} in the database: {suggest(name, names)}")
    row = found.iloc[0]
    spec = parse_space(row["spec_yaml"], f"{name} (stored)", name)
    epochs = epochs_frame(url, name)
    metric = epochs[epochs["name"] == spec.metric.name]
    curves: dict[int, dict[int, float]] = {}
    for number, epoch, value in zip(metric["number"], metric["epoch"], metric["value"], strict=True):
        curves.setdefault(int(number), {})[int(epoch)] = float(value)
    runs = runs_frame(url, name).to_dict("records")
    return SweepEvidence(
        spec=spec,
        created_at=row["created_at"].to_pydatetime(),
        provenance=row["provenance"],
        runs=tuple(_run(run, spec, curves.get(run["number"], {})) for run in runs),
        epochs=epochs,
        predictions=predictions(url, name, "val"),
    )


def _run(row: Mapping[Any, Any], spec: SpaceSpec, curve: Mapping[int, float]) -> SweepRun:
    recipe = Recipe.model_validate(row["recipe"])
    return SweepRun(
        number=int(row["number"]),
        state=RunState(row["state"]),
        epoch=int(row["epoch"]),
        value=float(row["value"]) if pd.notna(row["value"]) else None,
        seconds=float(row["seconds"]),
        seed=int(row["seed"]),
        recipe=recipe,
        recipe_hash=row["recipe_hash"],
        values=searched_values(recipe, spec),
        error=None if pd.isna(row["error"]) else row["error"],
        curve=dict(sorted(curve.items())),
    )
