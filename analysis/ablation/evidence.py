"""What the database holds of one ablation, as arms and pairs; numbers only, nothing is compared yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.load import epochs_frame, predictions, runs_frame, sweeps_frame
from search_spaces import AblationSpec, UsageError, parse_ablation, suggest
from search_spaces.metric_names import read_from
from sweeps.plan.ablation_plan import AblationTable, Finals
from sweeps.run_state import RunState
from trainers.reports import Predictions

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunFacts:
    """One run of an ablation, as the database tells it."""

    number: int
    arm: str
    pair: int
    design: str
    state: RunState
    epoch: int
    seconds: float
    seed: int
    attempts: int
    recipe: Mapping[str, Any]
    fingerprint: Mapping[str, str]
    error: str | None


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that is known of one ablation.

    Attributes:
        spec: As it is stored.
        created_at: UTC.
        provenance: Versions, machine and commit of its first driver.
        runs: By number.
        finals: What the complete runs reported in their last epoch.
        epochs: One row a number that an epoch reported, as `analysis.load.epochs_frame`.
        predictions: On `test`, by run and weights.
    """

    spec: AblationSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    runs: Sequence[RunFacts]
    finals: Finals
    epochs: pd.DataFrame
    predictions: Mapping[tuple[int, str], Predictions]

    @cached_property
    def table(self) -> AblationTable:
        """Which run is which."""
        return AblationTable(self.spec)

    @cached_property
    def pairs(self) -> int:
        """Pairs whose every run has ended, counted from the first one without a gap."""
        table, ended = self.table, {run.number for run in self.runs if run.state.finished}
        pairs = 0
        while pairs < self.spec.pairs and ended.issuperset(range(table.until(pairs), table.until(pairs + 1))):
            pairs += 1
        return pairs

    def run(self, design: str, pair: int, arm: str) -> RunFacts | None:
        """The run that an arm reads."""
        number = self.table.number(design, pair, arm)
        return self.runs[number] if number < len(self.runs) else None

    def values(self, design: str, arm: str, metric: str, pairs: int) -> Floats:
        """A metric of an arm in each of the first pairs, shape ``(pairs,)``; NaN where its run is not complete."""
        return arm_values(self.table, self.finals, design, arm, metric, pairs)

    def named(self, design: str, arm: str, name: str, pairs: int) -> Floats:
        """As `values`, of a metric under the very name that the training reports."""
        return _named(self.table, self.finals, design, arm, name, pairs)


def arm_values(table: AblationTable, finals: Finals, design: str, arm: str, metric: str, pairs: int) -> Floats:
    """A metric of an arm in each of the first pairs, shape ``(pairs,)``; NaN where its run is not complete."""
    return _named(table, finals, design, arm, read_from(metric, table.spec.all_arms[arm].weights), pairs)


def _named(table: AblationTable, finals: Finals, design: str, arm: str, name: str, pairs: int) -> Floats:
    numbers = (table.number(design, pair, arm) for pair in range(pairs))
    return np.array([finals.get(number, {}).get(name, math.nan) for number in numbers], dtype=np.float64)


def read_evidence(url: str, name: str) -> Evidence:
    """Read one ablation.

    Raises:
        UsageError: There is no ablation of that name.
    """
    sweeps = sweeps_frame(url)
    found = sweeps[(sweeps["name"] == name) & (sweeps["kind"] == "ablation")]
    if found.empty:
        names = sweeps[sweeps["kind"] == "ablation"]["name"].tolist()
        raise UsageError(f"no ablation {name!r} in the database: {suggest(name, names)}")
    row = found.iloc[0]
    runs = [_facts(run) for run in runs_frame(url, name).to_dict("records")]
    epochs = epochs_frame(url, name)
    return Evidence(
        spec=parse_ablation(row["spec_yaml"], f"{name} (stored)", name),
        created_at=row["created_at"].to_pydatetime(),
        provenance=row["provenance"],
        runs=runs,
        finals=_finals(runs, epochs),
        epochs=epochs,
        predictions=predictions(url, name, "test"),
    )


def _facts(row: Mapping[Any, Any]) -> RunFacts:
    return RunFacts(
        number=row["number"],
        arm=row["arm"],
        pair=int(row["pair"]),
        design=row["design"],
        state=RunState(row["state"]),
        epoch=row["epoch"],
        seconds=row["seconds"],
        seed=row["seed"],
        attempts=row["attempts"],
        recipe=row["recipe"],
        fingerprint=row["fingerprint"] or {},
        error=None if pd.isna(row["error"]) else row["error"],
    )


def _finals(runs: Sequence[RunFacts], epochs: pd.DataFrame) -> Finals:
    """As `Store.final_metrics`, of rows that were read already."""
    last = {run.number: run.epoch for run in runs if run.state is RunState.COMPLETE}
    ends = epochs[epochs["epoch"] == epochs["number"].map(last)]
    finals: dict[int, dict[str, float]] = {}
    for number, name, value in zip(ends["number"], ends["name"], ends["value"], strict=True):
        finals.setdefault(int(number), {})[str(name)] = float(value)
    return finals
