"""The data that `sweeps list`, `status` and `show` print as tables or JSON."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from search_spaces import (
    AblationSpec,
    SpaceSpec,
    UsageError,
    Value,
    parse_ablation,
    parse_space,
    suggest,
)
from sweeps.changes import Change, CodeState, recorded_changes, recorded_code
from sweeps.engine.progress import Progress, ablation_progress, sweep_progress
from sweeps.plan.ablation_plan import AblationTable
from sweeps.plan.search_plan import searched_fields
from sweeps.store.lease import alive, readable
from sweeps.store.records import RunRecord


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class SweepView:
    """One sweep with its runs.

    Attributes:
        spec: Stored space; for an ablation, the space of its runs.
        ablation: The ablation; None for a sweep.
        runs: Runs by number.
        driver: Description of the process that drives the sweep; None if there is none.
        created_at: Time of creation, in UTC.
        changes: Differences in code, data or packages with which it was continued.
        code: States of the code of a command.
    """

    spec: SpaceSpec
    ablation: AblationSpec | None
    runs: Sequence[RunRecord]
    driver: str | None
    created_at: str
    changes: tuple[Change, ...] = ()
    code: tuple[CodeState, ...] = ()

    @property
    def group(self) -> str | None:
        """Name of the ablation of several tasks that this one is a part of; None without one."""
        if self.ablation is None or self.ablation.group is None or self.ablation.task_label is None:
            return None
        return self.ablation.group.name

    @property
    def progress(self) -> Progress:
        """Progress of the runs, in numbers."""
        return (
            sweep_progress(self.spec, self.runs)
            if self.ablation is None
            else ablation_progress(self.ablation, self.runs)
        )

    def values(self, row: RunRecord) -> Mapping[str, Value]:
        """Return the values in which a run differs from the others."""
        if self.ablation is None:
            return searched_fields(row.recipe, self.spec)
        place = AblationTable(self.ablation).row(row.number)
        return {"arm": place.arm, "design": place.design, "pair": place.pair}


def sweep_views(sweeps: pd.DataFrame, runs: Mapping[str, Sequence[RunRecord]]) -> list[SweepView]:
    """Return every sweep, the newest last.

    Args:
        sweeps: The frame of `analysis.load.sweeps_frame`.
        runs: Name of a sweep -> its runs, from `analysis.load.runs_by_sweep`.
    """
    return [_sweep_view(row, runs.get(row["name"], [])) for row in sweeps.to_dict("records")]


def _sweep_view(row: Mapping[Hashable, Any], runs: Sequence[RunRecord]) -> SweepView:
    source, name = f"{row['name']} (stored)", row["name"]
    ablation = parse_ablation(row["spec_yaml"], source, name) if row["kind"] == "ablation" else None
    return SweepView(
        spec=parse_space(row["spec_yaml"], source, name) if ablation is None else ablation.space,
        ablation=ablation,
        runs=runs,
        driver=_driver(row["lease_owner"], row["lease_expires"]),
        created_at=f"{row['created_at']:%Y-%m-%d %H:%M}",
        changes=recorded_changes(row["provenance"]),
        code=recorded_code(row["provenance"]),
    )


def _driver(owner: Any, expires: Any) -> str | None:
    # pandas has NaN or NaT for NULL
    if pd.isna(owner) or pd.isna(expires) or expires < pd.Timestamp.now(tz="UTC") or not alive(owner):
        return None
    return readable(owner)


def find_view(views: Sequence[SweepView], name: str) -> SweepView:
    """Return the sweep with this name.

    Raises:
        UsageError: There is no such sweep, or its name is that of an ablation of several tasks.
    """
    found = find_views(views, name)
    if found[0].spec.name != name:
        names = ", ".join(view.spec.name for view in found)
        raise UsageError(f"{name!r} is an ablation of several tasks; name one of them: {names}")
    return found[0]


def find_views(views: Sequence[SweepView], name: str) -> list[SweepView]:
    """Return the sweep with this name, or the ablations of the tasks if an ablation of several has it.

    Raises:
        UsageError: There is no such sweep; the message lists all names.
    """
    found = [view for view in views if view.spec.name == name] or [view for view in views if view.group == name]
    if found:
        return found
    names = dict.fromkeys(each for view in views for each in (view.group, view.spec.name) if each is not None)
    raise UsageError(f"no sweep {name!r} in the database: {suggest(name, names)}")


def find_run(view: SweepView, number: int) -> RunRecord:
    """Return the run with this number.

    Raises:
        UsageError: There is no such run.
    """
    for row in view.runs:
        if row.number == number:
            return row
    raise UsageError(f"sweep {view.spec.name!r} has runs 0 to {len(view.runs) - 1}, found {number}")


# --- as data ----------------------------------------------------------------------------------------------------


def status_data(view: SweepView) -> dict[str, Any]:
    """Return the JSON data of one sweep for `sweeps status`."""
    now = view.progress
    return {
        "name": view.spec.name,
        "kind": "sweep" if view.ablation is None else "ablation",
        "group": view.group,
        "task": view.spec.task_name,
        "metric": view.spec.metric.name,
        "goal": view.spec.metric.goal,
        "created_at": view.created_at,
        "changes": [asdict(change) for change in view.changes],
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


def run_data(row: RunRecord, view: SweepView) -> dict[str, Any]:
    """Return the JSON data of one run for `sweeps show`."""
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
    """Return metric -> epoch -> value of one run; None if the value was not finite."""
    return {
        str(name): {row["epoch"]: _finite(row["value"]) for row in rows.to_dict("records")}
        for name, rows in epochs.groupby("name")
    }
