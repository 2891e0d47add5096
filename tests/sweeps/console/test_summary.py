from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from search_spaces import Metric, NoStopping, Recipe, resolve
from sweeps.console.output import open_console
from sweeps.console.summary import Phases, summary
from sweeps.engine.conductor import Conductor
from tests.fakes import CurveRunner, analytic, run_sweep, space


def text(conductor: Conductor, storage: str, phases: Phases | None = None) -> dict[str, str]:
    """The summary, line by its first word."""
    buffer = io.StringIO()
    summary(conductor, phases or Phases(0.0), storage, open_console(buffer, width=60))
    lines = buffer.getvalue().splitlines()
    assert all(line[7] == " " for line in lines)
    return {line[:8].strip() or f"+{index}": line[8:] for index, line in enumerate(lines)}


def test_a_finished_sweep(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(runs=20), sqlite_url, tmp_path / "c")
    best, baseline = conductor.best(), conductor.runs[0]
    assert best is not None
    assert best.value is not None
    assert baseline.value is not None
    said = text(conductor, sqlite_url)
    assert said["runs"].startswith("20 of 20: ")
    assert re.fullmatch(r"20 of 20: \d+ complete, \d+ stopped", said["runs"])
    assert said["best"] == (
        f"run {best.number}: val/accuracy {best.value:.4f}, better than the baseline recipe {baseline.value:.4f} "
        f"by {best.value - baseline.value:.4f} (one seed, on the data used to choose it)"
    )
    assert said["+2"].startswith(f"optimizer.lr {best.recipe.optimizer.lr:.3g}, ")
    spent = sum(run.epoch for run in conductor.runs)
    assert said["epochs"] == f"{spent} trained, {20 * 9 - spent} saved by early stopping"
    assert said["stored"] == sqlite_url
    assert said["next"].endswith(f"sweeps export toy, each with --storage {sqlite_url}")


def test_the_default_database_needs_no_option(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(runs=2), sqlite_url, tmp_path / "c")
    assert text(conductor, "sqlite:///runs/sweeps.db")["next"] == (
        "sweeps show toy | sweeps dashboard | sweeps export toy"
    )


def test_no_password(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(runs=2), sqlite_url, tmp_path / "c")
    said = text(conductor, "postgresql+psycopg://ann:s3cret@db/sweeps")
    assert "s3cret" not in str(said)
    assert "ann:***@db" in said["stored"]


def test_an_interrupted_sweep(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(), sqlite_url, tmp_path / "c", CurveRunner(drain_after=2))
    said = text(conductor, sqlite_url)
    assert "interrupted" in said["runs"]
    assert said["best"] == "no run is complete yet, so there is no best val/accuracy"
    assert said["next"] == "the same command continues"


def test_a_baseline_that_nothing_beat(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(
        recipe=resolve(space().recipe, {"optimizer.lr": 1e-2}),
        metric=Metric(name="val/nll", goal="minimize"),
        runs=3,
        search={},
        early_stopping=NoStopping(),
    )
    conductor = run_sweep(spec, sqlite_url, tmp_path / "c")
    assert text(conductor, sqlite_url)["best"].endswith(", the baseline recipe: no other run is better")


def test_a_sweep_whose_first_runs_failed_alike_says_so(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        raise ZeroDivisionError("no data left")

    said = text(run_sweep(space(), sqlite_url, tmp_path / "c", CurveRunner(curve, slots=1)), sqlite_url)
    assert said["failed"].startswith("ZeroDivisionError: no data left (run ")
    assert said["next"].startswith("the first 3 runs failed with the same error, so no more were started: fix it")


def test_failed_runs_say_where_to_look(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        if recipe.optimizer.lr == 1e-3:  # the baseline
            raise ZeroDivisionError
        return analytic(recipe, epoch)

    said = text(run_sweep(space(), sqlite_url, tmp_path / "c", CurveRunner(curve)), sqlite_url)
    assert "1 failed" in said["runs"]
    assert said["best"].endswith(", the baseline is not complete")
    assert "to see why runs failed: sweeps show toy RUN" in said.values()


def test_phases(sqlite_url: str, tmp_path: Path, monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr("sweeps.console.summary.time.monotonic", lambda: now[0])
    phases = Phases(100.0)
    now[0] = 103.0
    conductor = run_sweep(space(runs=4), sqlite_url, tmp_path / "c")
    assert conductor.first_report_at == 103.0
    now[0] = 113.0
    phases.trained(conductor, 2)
    now[0] = 114.5
    phases.end()
    trained = sum(run.seconds for run in conductor.runs)
    assert trained < 20
    assert str(phases) == (
        f"14.5 s = start-up 3.0 + runs 10.0 + shut-down 1.5; workers trained {trained:.1f} s and waited "
        f"{20 - trained:.1f} s (2 at a time)"
    )


def test_phases_without_training() -> None:
    phases = Phases(0.0)
    phases.end()
    assert str(phases).endswith("s, no training")
