"""Reads everything that the database holds about one sweep."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.load import bounded, epochs_frame, predictions, runs_of, sweeps_frame, usage_frame
from search_spaces import Distribution, SpaceSpec, UsageError, parse_space, suggest
from sweeps.engine.progress import best_run
from sweeps.plan.asha import rung_epochs
from sweeps.plan.search_plan import searched_values
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from trainers.reports import Predictions

INFEASIBLE = (RunState.DIVERGED, RunState.FAILED)


@dataclass(frozen=True, eq=False)
class SweepEvidence:
    """Everything that the database holds about one sweep.

    Attributes:
        spec: Stored space.
        created_at: Time of creation, in UTC.
        provenance: Versions, machine and commit of the first driver.
        runs: Runs by number; run 0 is the baseline. Their `final` is not read.
        epochs: The frame of `analysis.load.epochs_frame`.
        predictions: Predictions of the complete runs on `val`, by run and weights, if the task stores them.
        usage: The frame of `analysis.load.usage_frame`.
    """

    spec: SpaceSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    runs: tuple[RunSnapshot, ...]
    epochs: pd.DataFrame
    predictions: Mapping[tuple[int, str], Predictions]
    usage: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def search(self) -> Mapping[str, Distribution]:
        """Distribution of each parameter by name: a field, or `optimizer[sgd].lr` in an alternative."""
        return {one.name: one.distribution for one in self.spec.parameters.every}

    @property
    def maximize(self) -> bool:
        """Return whether a larger metric is better."""
        return self.spec.metric.goal == "maximize"

    @property
    def sign(self) -> float:
        """Factor after which a larger metric is better: 1 or -1."""
        return 1.0 if self.maximize else -1.0

    @property
    def budget(self) -> int:
        """Number of epochs or steps of a full run."""
        return self.spec.recipe.budget.length

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which ASHA compared and stopped runs."""
        return rung_epochs(self.spec.early_stopping, self.spec.recipe.budget)

    @property
    def finished(self) -> tuple[RunSnapshot, ...]:
        """Runs that have ended."""
        return tuple(run for run in self.runs if run.state.finished)

    @cached_property
    def ranked(self) -> tuple[RunSnapshot, ...]:
        """Complete runs, best first; of equal ones, the earlier first."""
        complete = [run for run in self.runs if run.state is RunState.COMPLETE and run.value is not None]
        return tuple(sorted(complete, key=lambda run: (-self.sign * (run.value or 0.0), run.number)))

    @property
    def best(self) -> RunSnapshot | None:
        """Complete run with the best value; None if no run is complete."""
        return best_run(self.runs, self.spec.metric.goal)

    def at(self, epoch: int) -> Mapping[int, float]:
        """Return run number -> value at a rung or at the full budget, for the runs with a finite value there.

        Without a report at that epoch, a run has the value of its next report before the next rung, as for ASHA. A
        complete run that its own patience ended before keeps its last value.
        """
        until = min((one for one in (*self.rungs, self.budget) if one > epoch), default=math.inf)
        found = {run.number: _value_at(run, epoch, until) for run in self.runs}
        return {number: value for number, value in found.items() if value is not None and math.isfinite(value)}

    @cached_property
    def classes(self) -> int | None:
        """Number of classes of the task, found in the stored predictions; None without any."""
        labels = [int(max(one.label.max(), one.predicted.max())) for one in self.predictions.values() if len(one.label)]
        return 1 + max(labels) if labels else None

    @cached_property
    def val_examples(self) -> int | None:
        """Number of validation examples, found in the stored predictions; None without any."""
        return next((len(one.label) for one in self.predictions.values()), None)


def _value_at(run: RunSnapshot, epoch: int, until: float) -> float | None:
    if run.state is RunState.COMPLETE and run.epoch < epoch:
        return run.value
    return run.curve.get(min((one for one in run.curve if epoch <= one < until), default=epoch))


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
    epochs = epochs.assign(value=epochs["value"].map(bounded).astype("float64"))
    curves = _curves(epochs[epochs["name"] == spec.metric.name])
    return SweepEvidence(
        spec=spec,
        created_at=row["created_at"].to_pydatetime(),
        provenance=row["provenance"],
        runs=tuple(
            RunSnapshot(
                **(vars(run) | {"value": bounded(run.value)}),
                values=searched_values(run.recipe, spec),
                curve=curves.get(run.number, {}),
            )
            for run in runs_of(url, name)
        ),
        epochs=epochs,
        predictions=predictions(url, name, "val"),
        usage=usage_frame(url, name),
    )


def _curves(metric: pd.DataFrame) -> dict[int, dict[int, float]]:
    """Return run number -> epoch -> value, in the order of the epochs."""
    curves: dict[int, dict[int, float]] = {}
    ordered = metric.sort_values("epoch")
    for number, epoch, value in zip(ordered["number"], ordered["epoch"], ordered["value"], strict=True):
        curves.setdefault(int(number), {})[int(epoch)] = float(value)
    return curves
