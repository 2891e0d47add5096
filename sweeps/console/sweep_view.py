"""What `sweeps list`, `status` and `show` print: plain data first, then a table of it or its JSON."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from search_spaces import (
    AblationSpec,
    Recipe,
    SpaceSpec,
    UsageError,
    Value,
    parse_ablation,
    parse_space,
    suggest,
)
from sweeps.engine.progress import Progress, ablation_progress, sweep_progress
from sweeps.plan.ablation_plan import AblationTable as AblationTable
from sweeps.plan.search_plan import searched_fields
from sweeps.run_state import RunState
from sweeps.store.lease import alive, readable


@dataclass(frozen=True)
class RunRow:
    """One run as the database tells it."""

    number: int
    state: RunState
    epoch: int
    value: float | None
    seconds: float
    seed: int
    attempts: int
    recipe: Recipe
    checkpoint: str | None
    node: str | None
    error: str | None


def rows(runs: pd.DataFrame) -> list[RunRow]:
    """The rows of `analysis.load.runs_frame` for one sweep."""
    return [
        RunRow(
            number=row["number"],
            state=RunState(row["state"]),
            epoch=row["epoch"],
            value=_known(row["value"]),
            seconds=row["seconds"],
            seed=row["seed"],
            attempts=row["attempts"],
            recipe=Recipe.model_validate(row["recipe"]),
            checkpoint=_known(row["checkpoint"]),
            node=_known(row["node"]),
            error=_known(row["error"]),
        )
        for row in runs.to_dict("records")
    ]


def _known(cell: Any) -> Any:
    """None for whatever pandas puts in the place of a NULL."""
    return None if pd.isna(cell) else cell


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class SweepView:
    """One sweep with its runs.

    Attributes:
        spec: As it is stored; of an ablation, what it trains.
        ablation: The ablation, if it is one.
        runs: By number.
        driver: Who works on it now, in words; None when nobody does.
        created_at: UTC.
    """

    spec: SpaceSpec
    ablation: AblationSpec | None
    runs: Sequence[RunRow]
    driver: str | None
    created_at: str

    @property
    def progress(self) -> Progress:
        """In numbers."""
        return (
            sweep_progress(self.spec, self.runs)
            if self.ablation is None
            else ablation_progress(self.ablation, self.runs)
        )

    def values(self, row: RunRow) -> Mapping[str, Value]:
        """What tells a run from the others."""
        if self.ablation is None:
            return searched_fields(row.recipe, self.spec)
        place = AblationTable(self.ablation).row(row.number)
        return {"arm": place.arm, "design": place.design, "pair": place.pair}


def sweep_views(sweeps: pd.DataFrame, runs: pd.DataFrame) -> list[SweepView]:
    """Every sweep of the two frames, the newest last."""
    return [_sweep_view(row, runs[runs["sweep"] == row["name"]]) for row in sweeps.to_dict("records")]


def _sweep_view(row: Mapping[Hashable, Any], runs: pd.DataFrame) -> SweepView:
    source, name = f"{row['name']} (stored)", row["name"]
    ablation = parse_ablation(row["spec_yaml"], source, name) if row["kind"] == "ablation" else None
    return SweepView(
        spec=parse_space(row["spec_yaml"], source, name) if ablation is None else ablation.space,
        ablation=ablation,
        runs=rows(runs),
        driver=_driver(_known(row["lease_owner"]), _known(row["lease_expires"])),
        created_at=f"{row['created_at']:%Y-%m-%d %H:%M}",
    )


def _driver(owner: str | None, expires: pd.Timestamp | None) -> str | None:
    if owner is None or expires is None or expires < pd.Timestamp.now(tz="UTC") or not alive(owner):
        return None
    return readable(owner)


def find_view(views: Sequence[SweepView], name: str) -> SweepView:
    """The sweep of that name.

    Raises:
        UsageError: There is none; says which there are.
    """
    for view in views:
        if view.spec.name == name:
            return view
    names = [view.spec.name for view in views]
    raise UsageError(f"no sweep {name!r} in the database: {suggest(name, names)}")


def find_run(view: SweepView, number: int) -> RunRow:
    """One run of a sweep.

    Raises:
        UsageError: It has no run of that number.
    """
    for row in view.runs:
        if row.number == number:
            return row
    raise UsageError(f"sweep {view.spec.name!r} has runs 0 to {len(view.runs) - 1}, found {number}")


# --- as data ----------------------------------------------------------------------------------------------------


def status_data(view: SweepView) -> dict[str, Any]:
    """`sweeps status --json` of one sweep."""
    now = view.progress
    return {
        "name": view.spec.name,
        "kind": "sweep" if view.ablation is None else "ablation",
        "task": view.spec.task,
        "metric": view.spec.metric.name,
        "goal": view.spec.metric.goal,
        "created_at": view.created_at,
        "driver": view.driver,
        "planned": now.total,
        "finished": now.finished,
        "states": {state.value: count for state, count in now.states.items()},
        "best": None if now.best is None else {"run": now.best[0], "value": now.best[1]},
        "baseline": None if now.baseline is None else {"value": now.baseline[0], "epoch": now.baseline[1]},
        "pairs": None if now.pairs is None else {"complete": now.pairs[0], "planned": now.pairs[1]},
        "rungs": [{"epoch": rung, "reached": reached, "went_on": on} for rung, reached, on in now.survivors],
        "epochs": {"trained": now.epochs_spent, "saved": now.epochs_saved, "budget_of_a_run": now.budget},
        "seconds_of_training": round(sum(run.seconds for run in view.runs), 3),
    }


def run_data(row: RunRow, view: SweepView) -> dict[str, Any]:
    """One run of `sweeps show --json`."""
    return {
        "run": row.number,
        "baseline": view.ablation is None and row.number == 0,
        "state": row.state.value,
        "value": row.value,
        "epoch": row.epoch,
        "seconds": round(row.seconds, 3),
        "seed": row.seed,
        "attempts": row.attempts,
        "searched": dict(view.values(row)),
        "recipe": row.recipe.model_dump(mode="json"),
        "checkpoint": row.checkpoint,
        "node": row.node,
        "error": row.error,
    }


def curve_data(epochs: pd.DataFrame) -> dict[str, dict[int, float | None]]:
    """Metric -> epoch -> value, None where it was not a number; of one run."""
    return {
        str(name): {row["epoch"]: _finite(row["value"]) for row in rows.to_dict("records")}
        for name, rows in epochs.groupby("name")
    }


# --- as text ----------------------------------------------------------------------------------------------------
