from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.load import epochs_frame, runs_by_sweep, sweeps_frame
from search_spaces import Metric, Recipe, UsageError
from sweeps.console import sweep_view, tables
from sweeps.console.output import open_console
from sweeps.console.sweep_view import SweepView, find_run, find_view, sweep_views
from sweeps.console.tables import column_names
from sweeps.run_state import RunState
from sweeps.store.lease import owner_name
from sweeps.store.store import Store
from tests.fakes import CurveRunner, add_sweep, analytic, conductor_of, run_sweep, space

SPEC = space(runs=14)


def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
    """Some runs fail, some diverge in one way or another."""
    metrics = analytic(recipe, epoch)
    if recipe.optimizer.lr > 0.03:
        raise ZeroDivisionError("[red]their mistake[/red]")
    if recipe.optimizer.lr < 3e-5 and epoch == 1:
        return dict.fromkeys(metrics, math.nan)
    if recipe.optimizer.lr > 0.01 and epoch == 2:
        return metrics | {"train/loss": math.inf}
    return metrics


@pytest.fixture
def view(sqlite_url: str, tmp_path: Path) -> SweepView:
    run_sweep(SPEC, sqlite_url, tmp_path / "c", CurveRunner(curve))
    return load(sqlite_url)


def load(url: str) -> SweepView:
    return find_view(sweep_views(sweeps_frame(url), runs_by_sweep(url)), "toy")


def printed(show: Any, *arguments: Any, width: int = 160) -> str:
    buffer = io.StringIO()
    show(*arguments, open_console(buffer, width=width))
    return buffer.getvalue()


def test_rows_are_those_of_the_conductor(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(SPEC, sqlite_url, tmp_path / "c", CurveRunner(curve))
    view = load(sqlite_url)
    assert view.spec == SPEC
    assert [(row.number, row.state, row.epoch, row.value, row.seed, row.recipe, row.error) for row in view.runs] == [
        (run.number, run.state, run.epoch, run.value, run.seed, run.recipe, run.error) for run in conductor.runs
    ]
    assert {row.state for row in view.runs} == {
        RunState.COMPLETE,
        RunState.STOPPED,
        RunState.DIVERGED,
        RunState.FAILED,
    }
    assert view.progress.best == (conductor.best().number, conductor.best().value)  # type: ignore[union-attr]


def test_status_as_data(view: SweepView) -> None:
    data = sweep_view.status_data(view)
    assert json.loads(json.dumps(data, allow_nan=False)) == data | {
        "states": {str(state): count for state, count in data["states"].items()}
    }
    assert (data["planned"], data["finished"], data["driver"]) == (14, 14, None)
    assert sum(data["states"].values()) == 14
    assert data["best"]["value"] == max(row.value for row in view.runs if row.state is RunState.COMPLETE)
    assert data["baseline"]["epoch"] == 9
    assert [rung["epoch"] for rung in data["rungs"]] == [1, 3]
    assert data["epochs"]["budget_of_a_run"] == 9
    assert data["seconds_of_training"] == sum(row.seconds for row in view.runs)


def test_every_run_as_json(view: SweepView, sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    states = set()
    for row in view.runs:
        curve = sweep_view.curve_data(epochs_frame(sqlite_url, "toy", row.number))
        tables.print_json(sweep_view.run_data(row, view) | {"curve": curve})
        shown = json.loads(capsys.readouterr().out)
        assert shown["state"] == row.state.value
        assert shown["baseline"] == (row.number == 0)
        assert shown["searched"].keys() == SPEC.search.keys()
        assert Recipe.model_validate(shown["recipe"]) == row.recipe
        assert len(shown["curve"].get("val/accuracy", {})) == row.epoch
        states.add(row.state)
    assert len(states) == 4


def test_numbers_that_are_none_are_null(view: SweepView, sqlite_url: str) -> None:
    diverged = next(row for row in view.runs if row.state is RunState.DIVERGED and row.epoch == 2)
    curve = sweep_view.curve_data(epochs_frame(sqlite_url, "toy", diverged.number))
    assert curve["train/loss"][2] is None  # infinite
    assert curve["train/loss"][1] is not None
    lost = next(row for row in view.runs if row.state is RunState.DIVERGED and row.epoch == 1)
    assert sweep_view.curve_data(epochs_frame(sqlite_url, "toy", lost.number)) == {
        name: {1: None} for name in ("train/loss", "val/accuracy", "val/nll")
    }


def test_every_run_as_text(view: SweepView, sqlite_url: str) -> None:
    for row in view.runs:
        text = printed(tables.print_run, view, row, epochs_frame(sqlite_url, "toy", row.number))
        assert f"run {row.number} of toy: {row.state.value.lower()} at epoch {row.epoch}" in text
        assert f"optimizer.lr {row.recipe.optimizer.lr:.3g}  (searched)" in text
        assert "optimizer.eps 1e-08\n" in text
        assert ("ZeroDivisionError: [red]their mistake[/red]" in text) == (row.state is RunState.FAILED)
        if row.state is RunState.COMPLETE:
            assert "val/accuracy" in text
            assert text.count("\n") > 9 + 9


def test_many_metrics_with_long_names_are_shown_in_several_tables(sqlite_url: str, tmp_path: Path) -> None:
    names = [f"val/one_of_the_many_metrics_{number}" for number in range(6)] + ["val/" + "long" * 24]

    def many(recipe: Recipe, epoch: int) -> dict[str, float]:
        return analytic(recipe, epoch) | {name: epoch + index / 8 for index, name in enumerate(names)}

    run_sweep(space(runs=1), sqlite_url, tmp_path / "c", CurveRunner(many))
    view = load(sqlite_url)
    text = printed(tables.print_run, view, view.runs[0], epochs_frame(sqlite_url, "toy", 0), width=80)
    tables_only = text.split("epoch  ", 1)[1].split("weights:")[0]
    assert max(map(len, tables_only.splitlines())) <= 80
    assert all(name in text for name in names[:-1])
    assert "long" * 16 in text, tables_only
    headings = re.findall(r"^epoch +(\S+)", text, re.MULTILINE)
    assert len(headings) > 3
    assert headings[0] == view.spec.metric.name


def test_selection_does_not_look_at_test(sqlite_url: str, tmp_path: Path) -> None:
    def with_test(recipe: Recipe, epoch: int) -> dict[str, float]:
        return analytic(recipe, epoch) | {"test/accuracy": 0.123, "train/lr": 0.1}

    run_sweep(space(runs=1), sqlite_url, tmp_path / "c", CurveRunner(with_test))
    view = load(sqlite_url)
    text = printed(tables.print_run, view, view.runs[0], epochs_frame(sqlite_url, "toy", 0))
    assert "test/accuracy" not in text
    assert "train/lr" in text


def test_runs_are_ranked(view: SweepView) -> None:
    order = tables.ranked(view)
    complete = [row for row in order if row.state is RunState.COMPLETE]
    assert order[: len(complete)] == complete
    assert [row.value for row in complete] == sorted((row.value for row in complete), reverse=True)
    rest = order[len(complete) :]
    assert [row.epoch for row in rest] == sorted((row.epoch for row in rest), reverse=True)
    assert sorted(row.number for row in order) == list(range(14))


def test_runs_are_ranked_upwards_where_less_is_better(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(metric=Metric(name="val/nll", goal="minimize")), sqlite_url, tmp_path / "c")
    best = tables.ranked(load(sqlite_url))[0]
    assert best.value == min(row.value for row in load(sqlite_url).runs if row.state is RunState.COMPLETE)


def test_tables(view: SweepView) -> None:
    runs = printed(tables.print_runs, view)
    assert "0 baseline" in runs
    assert "lr 0.001" in runs
    assert "betas.1 0.9" in runs
    assert len(runs.splitlines()) == 1 + 14 + 1
    assert "14/14" in printed(tables.print_list, [view])
    status = printed(tables.print_status, [view])
    assert "14 of 14 finished" in status
    assert "driver: none" in status


def test_who_drives_it(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        sweep_id = add_sweep(store, SPEC)
        store.take_lease(sweep_id, owner_name(), 30.0)
        assert (load(sqlite_url).driver or "").startswith("process ")
        store.take_lease(sweep_id, "elsewhere:7:1.00:ab", -1.0, instead_of=store.sweep("toy").lease_owner)  # type: ignore[union-attr]
        assert load(sqlite_url).driver is None
        store.take_lease(sweep_id, "elsewhere:7:1.00:ab", 30.0)
        assert load(sqlite_url).driver == "process 7 on elsewhere"
        dead = owner_name().rsplit(":", 2)[0] + ":1.00:ab"
        store.take_lease(sweep_id, dead, 30.0, instead_of="elsewhere:7:1.00:ab")
        assert load(sqlite_url).driver is None


def test_a_sweep_without_runs(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        add_sweep(store, SPEC)
    view = load(sqlite_url)
    assert view.runs == []
    assert sweep_view.status_data(view)["best"] is None
    for show in (tables.print_list, tables.print_status):
        assert "toy" in printed(show, [view])
    printed(tables.print_runs, view)


def test_runs_that_have_reported_nothing_yet(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(SPEC, store, tmp_path / "c")
        conductor.next_job()
        view = load(sqlite_url)
        [row] = view.runs
        assert (row.state, row.value, row.checkpoint, row.error) == (RunState.RUNNING, None, None, None)
        empty = epochs_frame(sqlite_url, "toy", 0)
        assert sweep_view.curve_data(empty) == {}
        assert "running at epoch 0" in printed(tables.print_run, view, row, empty)
        assert json.dumps(sweep_view.run_data(row, view), allow_nan=False)


def test_names_that_are_not_there(view: SweepView) -> None:
    with pytest.raises(UsageError, match=r"no sweep 'tyo' in the database: .*toy"):
        find_view([view], "tyo")
    with pytest.raises(UsageError, match="runs 0 to 13, found 14"):
        find_run(view, 14)
    assert find_run(view, 3).number == 3


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["optimizer.lr", "schedule.warmup"], ["lr", "warmup"]),
        (["optimizer.betas.0", "optimizer.betas.1"], ["betas.0", "betas.1"]),
        (["a.lr", "b.lr"], ["a.lr", "b.lr"]),
        ([], []),
    ],
)
def test_column_names(paths: list[str], names: list[str]) -> None:
    assert column_names(paths) == names
