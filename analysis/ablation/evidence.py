"""Reads everything that the database holds about one ablation, by arms and pairs."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.ablation.ledger import Judged, judged
from analysis.load import bounded, epochs_frame, predictions, runs_of, split_sizes, sweeps_frame, usage_frame
from search_spaces import AblationSpec, UsageError, parse_ablation, suggest
from search_spaces.metric_names import read_from
from sweeps.plan.ablation_plan import AblationTable, Finals
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from trainers.reports import Predictions

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the database holds about one ablation.

    Attributes:
        spec: Stored ablation.
        created_at: Time of creation, in UTC.
        provenance: Versions, machine and commit of the first driver.
        runs: Runs by number.
        finals: Last value of each metric of each complete run.
        epochs: The frame of `analysis.load.epochs_frame`.
        predictions: Predictions on `test`, by run and weights.
        usage: The frame of `analysis.load.usage_frame`.
        sizes: Number of examples of each split with stored predictions.
        others: Claims of all other ablations of the database.
    """

    spec: AblationSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    runs: Sequence[RunRecord]
    finals: Finals
    epochs: pd.DataFrame
    predictions: Mapping[tuple[int, str], Predictions]
    usage: pd.DataFrame = field(default_factory=pd.DataFrame)
    sizes: Mapping[str, int] = field(default_factory=dict)
    others: Sequence[Judged] = ()

    @cached_property
    def classes(self) -> int | None:
        """Number of classes of the task, found in the stored predictions; None without any."""
        labels = [int(max(one.label.max(), one.predicted.max())) for one in self.predictions.values() if len(one.label)]
        return 1 + max(labels) if labels else None

    @cached_property
    def table(self) -> AblationTable:
        """Arm, pair and design of each run."""
        return AblationTable(self.spec)

    @cached_property
    def pairs(self) -> int:
        """Number of first pairs in which every run has ended."""
        table, ended = self.table, {run.number for run in self.runs if run.state.finished}
        pairs = 0
        while pairs < self.spec.pairs and ended.issuperset(range(table.until(pairs), table.until(pairs + 1))):
            pairs += 1
        return pairs

    def run(self, design: str, pair: int, arm: str) -> RunRecord | None:
        """Return the run that an arm reads."""
        number = self.table.number(design, pair, arm)
        return self.runs[number] if number < len(self.runs) else None

    def values(self, design: str, arm: str, metric: str, pairs: int) -> Floats:
        """Return a metric of an arm in each of the first pairs, shape ``(pairs,)``; NaN if its run is not complete."""
        return arm_values(self.table, self.finals, design, arm, metric, pairs)

    def named(self, design: str, arm: str, name: str, pairs: int) -> Floats:
        """Return the same as `values`, for the exact name under which the training reports the metric."""
        return _named(self.table, self.finals, design, arm, name, pairs)


def arm_values(table: AblationTable, finals: Finals, design: str, arm: str, metric: str, pairs: int) -> Floats:
    """Return a metric of an arm in each of the first pairs, shape ``(pairs,)``; NaN if its run is not complete."""
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
    runs, epochs = runs_of(url, name), epochs_frame(url, name)
    epochs = epochs.assign(value=epochs["value"].map(bounded).astype("float64"))
    return Evidence(
        spec=parse_ablation(row["spec_yaml"], f"{name} (stored)", name),
        created_at=row["created_at"].to_pydatetime(),
        provenance=row["provenance"],
        runs=runs,
        finals=_finals(runs, epochs),
        epochs=epochs,
        predictions=predictions(url, name, "test"),
        usage=usage_frame(url, name),
        sizes=split_sizes(url, name),
        others=_others(sweeps, name),
    )


def _others(sweeps: pd.DataFrame, name: str) -> tuple[Judged, ...]:
    found = []
    for row in sweeps[(sweeps["kind"] == "ablation") & (sweeps["name"] != name)].to_dict("records"):
        with suppress(UsageError):  # the file of another release, or of a task that is no longer there
            spec = parse_ablation(row["spec_yaml"], f"{row['name']} (stored)", row["name"])
            found.append(judged(spec, row["created_at"].to_pydatetime(), row["provenance"]))
    return tuple(found)


def stored_members(url: str, name: str) -> tuple[str, ...]:
    """Return the names of the stored ablations of an ablation of several tasks, in its order; empty if there are none.

    Args:
        url: Database URL.
        name: Name of the ablation of several tasks.
    """
    sweeps = sweeps_frame(url)
    found = sweeps[(sweeps["kind"] == "ablation") & sweeps["name"].str.startswith(f"{name}.")]
    for text, member in zip(found["spec_yaml"], found["name"], strict=True):
        group = parse_ablation(text, f"{member} (stored)", member).group
        if group is not None and group.name == name:
            return tuple(one for one in group.members if one in set(found["name"]))
    return ()


def _finals(runs: Sequence[RunRecord], epochs: pd.DataFrame) -> Finals:
    """Return the same as `Store.final_metrics`, for the complete runs, from rows that are already read."""
    complete = [run.number for run in runs if run.state is RunState.COMPLETE]
    known = epochs[epochs["number"].isin(complete)].sort_values("epoch", kind="stable")
    ends = known.drop_duplicates(["number", "name"], keep="last")
    finals: dict[int, dict[str, float]] = {}
    for number, name, value in zip(ends["number"], ends["name"], ends["value"], strict=True):
        finals.setdefault(int(number), {})[str(name)] = float(value)
    return finals
