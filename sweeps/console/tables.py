"""The tables of `sweeps list`, `status` and `show`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.values import counted
from sweeps.console.live_view import COLOURS, panel
from sweeps.console.output import open_console, short
from sweeps.console.sweep_view import SweepView
from sweeps.plan.search_plan import searched_fields
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord


def ranked(view: SweepView) -> list[RunRecord]:
    """Return the complete runs, best first, then the others, those with more epochs first."""
    sign = 1 if view.spec.metric.goal == "minimize" else -1

    def key(row: RunRecord) -> tuple[bool, int, float]:
        complete = row.state is RunState.COMPLETE
        value = math.inf if row.value is None else sign * row.value
        return not complete, 0 if complete else -row.epoch, value

    return sorted(view.runs, key=key)


# Shown besides val/*; all metrics are in the export. test/* is not shown: recipes must not be selected by it.
_CURVE = ("train/loss", "train/lr")


def print_json(data: Any) -> None:
    """Print JSON on standard output; numbers that are not finite must be None."""
    console = open_console()
    console.print_json(json.dumps(data, allow_nan=False), ensure_ascii=not console.encoding.lower().startswith("utf"))


def print_list(views: Sequence[SweepView], console: Console) -> None:
    """Print the table of `sweeps list`."""
    table = Table(box=None, pad_edge=False)
    for title in ("sweep", "task", "runs", "best", "baseline", "created (UTC)", "driver"):
        table.add_column(title)
    known: set[str] = set()
    for view in views:
        if view.group is not None and view.group not in known:
            known.add(view.group)
            table.add_row(*_group_row(view.group, [one for one in views if one.group == view.group]))
        now = view.progress
        table.add_row(
            view.spec.name,
            view.spec.task_name,
            f"{now.finished}/{now.total}",
            "" if now.best is None else f"{now.best[1]:.4f}",
            "" if now.baseline is None else f"{now.baseline[0]:.4f}",
            view.created_at,
            view.driver or "none",
        )
    console.print(table)


def _group_row(name: str, members: Sequence[SweepView]) -> tuple[str, ...]:
    """Return the row of an ablation of several tasks, above the rows of its tasks."""
    progress = [view.progress for view in members]
    runs = f"{sum(now.finished for now in progress)}/{sum(now.total for now in progress)}"
    drivers = [view.driver for view in members if view.driver is not None]
    return name, counted(len(members), "task"), runs, "", "", members[0].created_at, drivers[0] if drivers else "none"


def print_status(views: Sequence[SweepView], console: Console) -> None:
    """Print the panels of `sweeps status`."""
    for view in views:
        verb = "run" if view.ablation is None else "ablate"
        console.print(panel(view.progress))
        console.print(f"driver: {view.driver or f'none; `sweeps {verb}` continues what is not finished'}")
        _print_changes(view, console)


def print_runs(view: SweepView, console: Console) -> None:
    """Print the table of `sweeps show NAME`."""
    table = Table(box=None, pad_edge=False)
    for title in ("run", "state", view.spec.metric.name.partition("/")[2], f"{view.spec.recipe.budget.unit}s"):
        table.add_column(title, no_wrap=True)
    table.add_column("searched fields" if view.ablation is None else "place in the ablation")
    shown = {row.number: view.values(row) for row in view.runs}
    paths = list(dict.fromkeys(path for values in shown.values() for path in values))
    names = dict(zip(paths, column_names(paths), strict=True))
    for row in ranked(view):
        baseline = view.ablation is None and row.number == 0
        table.add_row(
            f"{row.number}{' baseline' if baseline else ''}",
            Text(row.state.value.lower(), style=COLOURS[row.state]),
            "" if row.value is None else f"{row.value:.4f}",
            str(row.epoch),
            ", ".join(f"{names[path]} {short(value)}" for path, value in shown[row.number].items()),
        )
    console.print(table)
    _print_changes(view, console)
    _print_code(view, console)
    console.print(f"one run in full: sweeps show {view.spec.name} RUN", soft_wrap=True)


def _print_code(view: SweepView, console: Console) -> None:
    """Print where the changes are that no commit has."""
    if view.code and not all(one.clean for one in view.code):
        where = f"sweeps export {view.spec.name} writes them to changes.diff"
        console.print(f"code: commit {view.code[0].commit[:12]} with uncommitted changes; {where}", soft_wrap=True)


def _print_changes(view: SweepView, console: Console) -> None:
    for change in view.changes:
        console.print(f"changed: {change}")


def print_run(view: SweepView, row: RunRecord, epochs: pd.DataFrame, console: Console) -> None:
    """Print one run for `sweeps show NAME RUN`."""
    unit = view.spec.recipe.budget.unit
    console.print(f"run {row.number} of {view.spec.name}: {row.state.value.lower()} at {unit} {row.epoch}")
    searched = searched_fields(row.recipe, view.spec) if view.ablation is None else view.spec.search
    for path, value in view.spec.fields_of(row.recipe).items():
        mark = "  (searched)" if path in searched else ""
        console.print(f"  {path} {short(value)}{mark}", soft_wrap=True)
    if not epochs.empty:
        shown = epochs[epochs["name"].isin(_CURVE) | epochs["name"].str.startswith("val/")]
        wide = shown.pivot_table(index="epoch", columns="name", values="value", sort=True)
        # Leave out metrics that are reported once, at the end of a training, such as the temperature.
        wide = wide.loc[:, wide.notna().sum() >= min(2, len(wide))]
        own_first = sorted(wide.columns, key=lambda name: name != view.spec.metric.name)
        _print_curves(wide[own_first], unit, console)
    if row.node:
        console.print(f"node: {row.node}", soft_wrap=True)
    if row.checkpoint:
        console.print(f"weights: {row.checkpoint}", soft_wrap=True)
    if row.error:
        console.print(row.error, soft_wrap=True)


def _print_curves(wide: pd.DataFrame, unit: str, console: Console) -> None:
    """Print a column per metric, in several tables one below the other if they are too wide for the terminal."""
    cells = wide.map(lambda number: "" if math.isnan(number) else f"{number:.3g}")
    first = max(map(len, [unit, *map(str, wide.index)]))
    widths = {name: max(map(len, [name, *cells[name]])) for name in cells.columns}
    for names in _rows_of_columns(widths, console.width - first):
        table = Table(box=None, pad_edge=False)
        table.add_column(unit)
        for name in names:
            table.add_column(str(name), overflow="fold")
        for epoch, numbers in cells[names].iterrows():
            table.add_row(str(epoch), *numbers)
        console.print(table)


def _rows_of_columns(widths: Mapping[str, int], width: int) -> list[list[str]]:
    """Return the columns, in their order, in groups that fit a width with 2 between them; each has at least one."""
    groups: list[list[str]] = []
    left = 0
    for name, needed in widths.items():
        if not groups or needed + 2 > left:
            groups.append([])
            left = width
        groups[-1].append(name)
        left -= needed + 2
    return groups


def column_names(paths: Iterable[str]) -> list[str]:
    """Return the shortest unambiguous ending of each dotted path, such as ``lr`` or ``betas.1``."""
    paths = list(paths)
    return [
        next(name for name in _endings(path) if sum(_ends_in(other, name) for other in paths) == 1) for path in paths
    ]


def _endings(path: str) -> list[str]:
    """Return the endings of a path, shortest first: ``a.b.1`` -> ``b.1``, ``a.b.1``; never an index alone."""
    words = path.split(".")
    return [".".join(words[first:]) for first in range(len(words) - 1, -1, -1) if not words[first].isdigit()]


def _ends_in(path: str, ending: str) -> bool:
    return path == ending or path.endswith(f".{ending}")
