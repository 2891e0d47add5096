from __future__ import annotations

import csv as csv_module
import io
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.export import best_recipe, csv, export_sweep
from analysis.load import runs_frame
from search_spaces import AdamW, Choice, LogUniform, Metric, Recipe, flatten, load_space, parse_space
from sweeps.run_state import RunState
from sweeps.store.store import Store
from tests.fakes import CurveRunner, add_sweep, analytic, run_sweep, snapshot_of, space, unstable


def table(path: Path) -> list[dict[str, str]]:
    """As a spreadsheet reads it."""
    return list(csv_module.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_sweep_as_files(database_url: str, tmp_path: Path) -> None:
    spec = space()
    conductor = run_sweep(spec, database_url, tmp_path / "c", CurveRunner(unstable))
    folder = tmp_path / "reports" / "toy"
    written = export_sweep(spec, database_url, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["best.yaml", "epochs.csv", "runs.csv", "space.yaml"]
    assert sorted(written) == sorted(folder.iterdir())

    runs = table(folder / "runs.csv")
    assert [int(row["number"]) for row in runs] == list(range(12))
    for row, run in zip(runs, conductor.runs, strict=True):
        assert row["state"] == run.state.value
        assert int(row["seed"]) == run.seed
        assert float(row["value"]) == run.value
        assert float(row["optimizer.lr"]) == run.recipe.optimizer.lr
        assert float(row["optimizer.betas.1"]) == run.recipe.optimizer.betas[1]
        assert flatten(run.recipe).keys() <= row.keys()
    epochs = table(folder / "epochs.csv")
    assert len([row for row in epochs if row["name"] == "val/accuracy"]) == sum(run.epoch for run in conductor.runs)
    assert parse_space((folder / "space.yaml").read_text(), "space.yaml", "toy") == spec


def test_the_best_recipe_can_be_run_as_a_space(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(), sqlite_url, tmp_path / "c")
    best = conductor.best()
    assert best is not None
    export_sweep(space(), sqlite_url, tmp_path / "out")
    again = load_space(str(tmp_path / "out" / "best.yaml"))
    assert (again.recipe, again.runs, dict(again.search)) == (best.recipe, 1, {})
    assert (again.task, again.metric) == ("digits", space().metric)


@pytest.mark.parametrize(("goal", "number"), [("maximize", 2), ("minimize", 1)])
def test_best_is_complete_and_the_earlier_of_two_equal(goal: Any, number: int) -> None:
    states = ["STOPPED", "COMPLETE", "COMPLETE", "COMPLETE", "DIVERGED", "COMPLETE"]
    values = [0.9, 0.1, 0.5, 0.5, 0.0, None]
    runs = [
        snapshot_of(index, RunState(state), value=value, recipe=Recipe(optimizer=AdamW(lr=10.0**-index)))
        for index, (state, value) in enumerate(zip(states, values, strict=True))
    ]
    best = best_recipe(runs, space(task="mine:Task", metric=Metric(name="val/x", goal=goal)))
    assert best is not None
    assert best.optimizer.lr == 10.0**-number


def test_without_a_complete_run_there_is_no_best(sqlite_url: str, tmp_path: Path) -> None:
    def broken(recipe: Recipe, epoch: int) -> dict[str, float]:
        raise ZeroDivisionError('=HYPERLINK("http://evil")')

    run_sweep(space(runs=2), sqlite_url, tmp_path / "c", CurveRunner(broken))
    (tmp_path / "out").mkdir()
    written = export_sweep(space(runs=2), sqlite_url, tmp_path / "out")
    assert "best.yaml" not in {path.name for path in written}
    assert [row["state"] for row in table(tmp_path / "out" / "runs.csv")] == ["FAILED", "FAILED"]
    assert table(tmp_path / "out" / "epochs.csv") == []


def test_a_sweep_without_runs(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        add_sweep(store, space())
    export_sweep(space(), sqlite_url, tmp_path / "out")
    assert table(tmp_path / "out" / "runs.csv") == []


def test_exporting_again_replaces(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(runs=2), sqlite_url, tmp_path / "c")
    export_sweep(space(runs=2), sqlite_url, tmp_path / "out")
    run_sweep(space(runs=5), sqlite_url, tmp_path / "c")
    export_sweep(space(runs=5), sqlite_url, tmp_path / "out")
    assert len(table(tmp_path / "out" / "runs.csv")) == 5


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    frame = pd.DataFrame({"text": [text, "harmless", None], "number": [-1.5, 2.0, math.nan]})
    [first, second, third] = list(csv_module.reader(io.StringIO(csv(frame), newline="")))[1:]
    assert first == [f"'{text}".replace("\r", "\n"), "-1.5"]
    assert second == ["harmless", "2.0"]
    assert third == ["", ""]
    assert frame["text"][0] == text  # the frame itself is left alone


def test_line_ends_inside_a_cell_stay_there() -> None:
    frame = pd.DataFrame({"error": ["10 %\r20 %\rTraceback\r\n  line 1\n", 'a "b", c'], "number": [1, 2]})
    rows = list(csv_module.reader(io.StringIO(csv(frame), newline="")))
    assert rows[1:] == [["10 %\n20 %\nTraceback\n  line 1\n", "1"], ['a "b", c', "2"]]


def test_a_formula_in_a_recipe_is_disarmed(sqlite_url: str, tmp_path: Path) -> None:
    recipe = space().recipe.model_copy(update={"custom": {"word": "=1+1", "flag": True}})
    spec = space(
        recipe=recipe, runs=3, search={"custom.word": Choice(["=1+1", "@x"]), "optimizer.lr": LogUniform(1e-4, 1e-2)}
    )
    run_sweep(spec, sqlite_url, tmp_path / "c")
    export_sweep(spec, sqlite_url, tmp_path / "out")
    words = {row["custom.word"] for row in table(tmp_path / "out" / "runs.csv")}
    assert words <= {"'=1+1", "'@x"}
    assert "'=1+1" in words


def test_numbers_survive_bit_by_bit(sqlite_url: str, tmp_path: Path) -> None:
    def odd(recipe: Recipe, epoch: int) -> dict[str, float]:
        return analytic(recipe, epoch) | {"x/tiny": 5e-324, "x/third": 1 / 3, "x/inf": math.inf, "x/nan": math.nan}

    run_sweep(space(runs=1), sqlite_url, tmp_path / "c", CurveRunner(odd))
    export_sweep(space(runs=1), sqlite_url, tmp_path / "out")
    values = {row["name"]: row["value"] for row in table(tmp_path / "out" / "epochs.csv")}
    assert float(values["x/tiny"]) == 5e-324
    assert float(values["x/third"]) == 1 / 3
    assert float(values["x/inf"]) == math.inf
    assert values["x/nan"] == ""
    assert list(runs_frame(sqlite_url, "toy")["state"]) == ["COMPLETE"]  # only its metric and losses decide
