"""What `sweeps list`, `status` and `show` print: plain data first, then a table of it or its JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces import (
    AblationSpec,
    Recipe,
    SpaceSpec,
    UsageError,
    Value,
    flatten,
    parse_ablation,
    parse_space,
    suggest,
)
from sweeps.console.live_view import COLOURS, panel
from sweeps.engine.progress import Standing, standing
from sweeps.plan.ablation_plan import Table as AblationTable
from sweeps.plan.ablation_plan import ablation_standing
from sweeps.plan.plan import searched_fields
from sweeps.store.lease import alive, readable
from sweeps.store.tables import RunState


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
    def standing(self) -> Standing:
        """In numbers."""
        return standing(self.spec, self.runs) if self.ablation is None else ablation_standing(self.ablation, self.runs)

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
    now = view.standing
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


def ranked(view: SweepView) -> list[RunRow]:
    """Complete runs by their value, best first; the others after them, those that came further first."""
    sign = 1 if view.spec.metric.goal == "minimize" else -1

    def key(row: RunRow) -> tuple[bool, int, float]:
        complete = row.state is RunState.COMPLETE
        value = math.inf if row.value is None else sign * row.value
        return not complete, 0 if complete else -row.epoch, value

    return sorted(view.runs, key=key)


# Beside val/*; the rest is in the export. test/* is for ablation reports: nobody selects a recipe by looking at it.
_CURVE = ("train/loss", "train/lr")

# --- as text ----------------------------------------------------------------------------------------------------


def print_json(data: Any) -> None:
    """JSON on standard output; a number that is not finite would not be JSON."""
    Console().print_json(json.dumps(data, allow_nan=False))


def print_list(views: Sequence[SweepView], console: Console) -> None:
    """`sweeps list`."""
    table = Table(box=None, pad_edge=False)
    for title in ("sweep", "task", "runs", "best", "baseline", "created (UTC)", "driver"):
        table.add_column(title)
    for view in views:
        now = view.standing
        table.add_row(
            view.spec.name,
            view.spec.task,
            f"{now.finished}/{now.total}",
            "" if now.best is None else f"{now.best[1]:.4f}",
            "" if now.baseline is None else f"{now.baseline[0]:.4f}",
            view.created_at,
            view.driver or "none",
        )
    console.print(table)


def print_status(views: Sequence[SweepView], console: Console) -> None:
    """`sweeps status`."""
    for view in views:
        verb = "run" if view.ablation is None else "ablate"
        console.print(panel(view.standing))
        console.print(
            f"driver: {view.driver or f'none; `sweeps {verb}` continues what is not finished'}", highlight=False
        )


def print_runs(view: SweepView, console: Console) -> None:
    """`sweeps show NAME`."""
    table = Table(box=None, pad_edge=False)
    for title in ("run", "state", view.spec.metric.name.partition("/")[2], "epochs"):
        table.add_column(title, no_wrap=True)
    table.add_column("searched fields" if view.ablation is None else "place in the ablation")
    told = {row.number: view.values(row) for row in view.runs}
    paths = list(dict.fromkeys(path for values in told.values() for path in values))
    names = dict(zip(paths, column_names(paths), strict=True))
    for row in ranked(view):
        baseline = view.ablation is None and row.number == 0
        table.add_row(
            f"{row.number}{' baseline' if baseline else ''}",
            Text(row.state.value.lower(), style=COLOURS[row.state]),
            "" if row.value is None else f"{row.value:.4f}",
            str(row.epoch),
            ", ".join(f"{names[path]} {short(value)}" for path, value in told[row.number].items()),
        )
    console.print(table)
    console.print(f"one run in full: sweeps show {view.spec.name} RUN", highlight=False)


def print_run(view: SweepView, row: RunRow, epochs: pd.DataFrame, console: Console) -> None:
    """`sweeps show NAME RUN`."""
    console.print(
        f"run {row.number} of {view.spec.name}: {row.state.value.lower()} at epoch {row.epoch}", highlight=False
    )
    searched = searched_fields(row.recipe, view.spec) if view.ablation is None else view.spec.search
    for path, value in flatten(row.recipe).items():
        mark = "  (searched)" if path in searched else ""
        console.print(f"  {path} {short(value)}{mark}", highlight=False, markup=False)
    if not epochs.empty:
        told = epochs[epochs["name"].isin(_CURVE) | epochs["name"].str.startswith("val/")]
        wide = told.pivot_table(index="epoch", columns="name", values="value", sort=True)
        # What only the end of a training reports, such as its temperature, is no curve.
        wide = wide.loc[:, wide.notna().sum() >= min(2, len(wide))]
        table = Table(box=None, pad_edge=False)
        table.add_column("epoch")
        for name in wide.columns:
            table.add_column(str(name), no_wrap=True)
        for epoch, numbers in wide.iterrows():
            table.add_row(str(epoch), *("" if math.isnan(number) else f"{number:.3g}" for number in numbers))
        console.print(table)
    if row.node:
        console.print(f"node: {row.node}", highlight=False, markup=False)
    if row.checkpoint:
        console.print(f"weights: {row.checkpoint}", highlight=False, markup=False)
    if row.error:
        console.print(row.error, highlight=False, markup=False)


def column_names(paths: Iterable[str]) -> list[str]:
    """Each dotted path by its last words, as few as keep the paths apart: ``lr``, ``betas.1``."""
    paths = list(paths)
    return [
        next(name for name in _endings(path) if sum(_ends_in(other, name) for other in paths) == 1) for path in paths
    ]


def _endings(path: str) -> list[str]:
    """``a.b.1`` -> ``b.1``, ``a.b.1``: an index alone says nothing."""
    words = path.split(".")
    return [".".join(words[first:]) for first in range(len(words) - 1, -1, -1) if not words[first].isdigit()]


def _ends_in(path: str, ending: str) -> bool:
    return path == ending or path.endswith(f".{ending}")


def short(value: object) -> str:
    """A value in a few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
