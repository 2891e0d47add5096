from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from search_spaces import Budget, NoStopping, Recipe, SpaceSpec, SweepError, UsageError
from sweeps.console.output import open_console
from sweeps.driver.driver import drive
from sweeps.driver.listeners import LISTENERS, load_listener
from sweeps.driver.work import Options, Session, sweep_work
from sweeps.listener import Listener, Listeners
from sweeps.run_state import RunState
from sweeps.store.store import Store
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import (
    CurveRunner,
    DriverDiedError,
    analytic,
    conductor_of,
    mark_complete,
    rows,
    snapshot_of,
    space,
    writer_of,
)


class Recorder(Listener):
    """Writes down every call in one word."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.runs: list[RunSnapshot] = []

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        self.calls.append("sweep: " + " ".join(run.state.value for run in runs))
        self.runs = list(runs)

    def run_begins(self, run: RunSnapshot) -> None:
        assert run.state is RunState.RUNNING
        self.calls.append(f"{run.number} begins")

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        assert run.curve[epoch] == pytest.approx(metrics["val/accuracy"], nan_ok=True)
        assert set(metrics) == {"val/accuracy", "val/nll", "train/loss"}
        self.calls.append(f"{run.number} epoch {epoch}")

    def run_ends(self, run: RunSnapshot) -> None:
        self.calls.append(f"{run.number} {run.state.value}")

    def sweep_ends(self) -> None:
        self.calls.append("over")


def command(spec: SpaceSpec, url: str, folder: Path, listener: Listener, **options: Any) -> None:
    """What one command does, one run at a time and without training."""
    with Store(url) as store:
        writer = writer_of(store, spec, folder)
        conductor = conductor_of(spec, store, folder, writer, listener=listener)
        listener.sweep_begins(spec, conductor.snapshots())
        CurveRunner(**{"slots": 1, **options}).run(conductor)
        conductor.close()
        mark_complete(store, writer)
        listener.sweep_ends()


def epochs(number: int, *epochs: int) -> list[str]:
    return [f"{number} epoch {epoch}" for epoch in epochs]


FULL = space(runs=2, early_stopping=NoStopping())


def test_the_calls_of_a_sweep(sqlite_url: str, tmp_path: Path) -> None:
    seen = Recorder()
    command(FULL, sqlite_url, tmp_path / "c", seen)
    first, second = ([f"{n} begins", *epochs(n, *range(1, 10)), f"{n} COMPLETE"] for n in (0, 1))
    assert seen.calls == ["sweep: ", *first, *second, "over"]


def test_a_run_that_is_stopped_and_one_that_fails(sqlite_url: str, tmp_path: Path) -> None:
    def fragile(recipe: Recipe, epoch: int) -> Mapping[str, float]:
        if recipe.optimizer.lr > 2e-2:
            raise ZeroDivisionError
        return analytic(recipe, epoch)

    seen = Recorder()
    command(space(runs=12), sqlite_url, tmp_path / "c", seen, curve=fragile)
    found = {
        number: (state, epoch) for number, state, epoch in rows(sqlite_url, "SELECT number, state, epoch FROM run")
    }
    assert {state for state, _ in found.values()} == {"COMPLETE", "STOPPED", "FAILED"}
    expected = ["sweep: "]
    for number, (state, epoch) in sorted(found.items()):
        expected += [f"{number} begins", *epochs(number, *range(1, epoch + 1)), f"{number} {state}"]
    assert seen.calls == [*expected, "over"]


def test_a_sweep_that_is_interrupted_and_continued(sqlite_url: str, tmp_path: Path) -> None:
    seen, again = Recorder(), Recorder()
    command(FULL, sqlite_url, tmp_path / "c", seen, drain_after=2)
    done = sum("epoch" in call for call in seen.calls)
    assert 2 <= done < 9
    assert seen.calls == ["sweep: ", "0 begins", *epochs(0, *range(1, done + 1)), "0 INTERRUPTED", "over"]
    command(FULL, sqlite_url, tmp_path / "c", again)
    rest = [*epochs(0, *range(done + 1, 10)), "0 COMPLETE", "1 begins", *epochs(1, *range(1, 10)), "1 COMPLETE"]
    assert again.calls == ["sweep: INTERRUPTED", "0 begins", *rest, "over"]


def test_a_run_that_loses_its_worker_begins_again_and_repeats_no_epoch(sqlite_url: str, tmp_path: Path) -> None:
    seen = Recorder()
    command(FULL, sqlite_url, tmp_path / "c", seen, kill={0: 1})
    assert seen.calls[:5] == ["sweep: ", "0 begins", "0 INTERRUPTED", "0 begins", "0 epoch 1"]
    assert [call for call in seen.calls if "epoch" in call] == [*epochs(0, *range(1, 10)), *epochs(1, *range(1, 10))]


def test_after_a_crash_the_next_driver_begins_again(sqlite_url: str, tmp_path: Path) -> None:
    seen, again = Recorder(), Recorder()
    with pytest.raises(DriverDiedError):
        command(FULL, sqlite_url, tmp_path / "c", seen, die_after=2)
    assert "0 INTERRUPTED" not in seen.calls
    assert "over" not in seen.calls
    command(FULL, sqlite_url, tmp_path / "c", again)
    assert again.calls[:2] == ["sweep: INTERRUPTED", "0 begins"]
    known = {f"0 epoch {epoch}" for epoch in again.runs[0].curve}
    assert known == {call for call in seen.calls if "epoch" in call}
    later = [call for call in again.calls if "0 epoch" in call]
    assert sorted([*known, *later]) == epochs(0, *range(1, 10))


def test_nothing_is_reported_before_it_is_in_the_database(sqlite_url: str, tmp_path: Path) -> None:
    class Reader(Listener):
        def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
            query = (
                "SELECT epoch_metric.value FROM epoch_metric JOIN run ON run.id = run_id "
                "WHERE number = :run AND epoch_metric.epoch = :epoch"
            )
            found = {value for (value,) in rows(sqlite_url, query, run=run.number, epoch=epoch)}
            assert found == set(metrics.values())

        def run_ends(self, run: RunSnapshot) -> None:
            [[state]] = rows(sqlite_url, "SELECT state FROM run WHERE number = :run", run=run.number)
            assert state == run.state.value

    command(space(runs=3), sqlite_url, tmp_path / "c", Reader())


# --- exceptions -------------------------------------------------------------------------------------------------


class Broken(Listener):
    def run_begins(self, run: RunSnapshot) -> None:
        raise ZeroDivisionError("no tracker here")

    def sweep_ends(self) -> None:
        raise SweepError("the server took 3 of 4 runs")


def test_the_first_exception_of_each_listener_is_kept_and_the_others_are_called() -> None:
    seen, both = Recorder(), Listeners()
    both.named = {"broken": Broken(), "recorder": seen}
    both.sweep_begins(FULL, [])
    for number in (0, 1):
        both.run_begins(snapshot_of(number, RunState.RUNNING))
    both.sweep_ends()
    assert seen.calls == ["sweep: ", "0 begins", "1 begins", "over"]
    assert both.failures == {"broken": "ZeroDivisionError in run_begins: no tracker here"}


class Leaving(Listener):
    """Ends the process, or tries to."""

    def __init__(self) -> None:
        raise SystemExit("no server")

    def run_begins(self, run: RunSnapshot) -> None:
        raise SystemExit(3)


def test_a_listener_that_leaves_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Listeners()
    one.named = {"leaving": Leaving.__new__(Leaving)}
    one.run_begins(snapshot_of(0, RunState.RUNNING))
    assert one.failures == {"leaving": "SystemExit in run_begins: 3"}
    monkeypatch.setattr(sys, "path", list(sys.path))
    make = load_listener(f"{__name__}:Leaving")
    with pytest.raises(UsageError, match="creating it failed: SystemExit: no server"):
        make(cast(Session, None))


def test_the_text_of_a_sweep_error_is_kept_as_it_is() -> None:
    one = Listeners()
    one.named = {"broken": Broken()}
    one.sweep_ends()
    assert one.failures == {"broken": "the server took 3 of 4 runs"}


# --- a tracker --------------------------------------------------------------------------------------------------


class CsvTracker(Listener):
    """Writes a line for every epoch, and one for the end of every run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        self._file = self._path.open("a", newline="")
        self._lines = csv.writer(self._file)
        self._lines.writerow([spec.name, spec.task, spec.metric.name])

    def run_begins(self, run: RunSnapshot) -> None:
        self._lines.writerow([run.number, *run.values.values()])

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        self._lines.writerows([run.number, epoch, name, value] for name, value in metrics.items())

    def run_ends(self, run: RunSnapshot) -> None:
        self._lines.writerow([run.number, run.state, run.value])

    def sweep_ends(self) -> None:
        self._file.close()


def test_a_tracker_is_one_class_and_a_name(sqlite_url: str, tmp_path: Path) -> None:
    """A whole command: the tracker has every number of the database, and a broken one does not end the sweep."""
    recipe = space().recipe.model_copy(update={"budget": Budget(epochs=2)})
    spec = space(runs=2, early_stopping=NoStopping(), recipe=recipe)
    made = {"csv": lambda session: CsvTracker(tmp_path / "log.csv"), "broken": lambda session: Broken()}
    out = io.StringIO()
    options = Options(sqlite_url, local=True, checkpoints=str(tmp_path / "c"), listeners=made)
    assert drive(sweep_work(spec), options, open_console(out, width=200), time.monotonic()) == 0
    assert "listener 'broken' failed: ZeroDivisionError in run_begins: no tracker here" in out.getvalue()
    assert "listener 'csv'" not in out.getvalue()
    head, *lines = csv.reader((tmp_path / "log.csv").read_text().splitlines())
    assert head == ["toy", "digits", "val/accuracy"]
    numbers = {(int(line[0]), int(line[1]), line[2]): float(line[3]) for line in lines if "/" in line[2]}
    query = "SELECT number, epoch_metric.epoch, name, epoch_metric.value FROM epoch_metric JOIN run ON run.id = run_id"
    assert numbers == {(number, epoch, name): value for number, epoch, name, value in rows(sqlite_url, query)}
    assert len(numbers) >= 2 * 2 * 3
    ends = {(line[0], float(line[2])) for line in lines if line[1] == "COMPLETE"}
    assert ends == {(str(number), value) for number, value in rows(sqlite_url, "SELECT number, value FROM run")}
    [[lr]] = rows(sqlite_url, "SELECT json_extract(recipe, '$.optimizer.lr') FROM run WHERE number = 1")
    assert next(line[1] for line in lines if line[0] == "1") == str(lr)
    trials = rows(sqlite_url, "SELECT number, state FROM trials ORDER BY number")
    assert [tuple(trial) for trial in trials] == [(0, "COMPLETE"), (1, "COMPLETE")]  # the mirror is a listener, too


def test_every_command_has_the_live_view_and_the_dashboard() -> None:
    assert list(LISTENERS) == ["live view", "dashboard"]


def test_a_tracker_of_the_user_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("own_tracker.py").write_text("from sweeps.listener import Listener\n\n\nclass Tracker(Listener):\n    pass\n")
    made = load_listener("own_tracker:Tracker")(cast(Session, None))
    assert type(made).__name__ == "Tracker"
    assert isinstance(made, Listener)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("no_such_tracker:Tracker", "No module named"),
        ("json", "AttributeError"),
        ("json:loads", "found <function loads"),
    ],
)
def test_a_wrong_listener_is_one_line(reference: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(UsageError, match=rf"^--listener .*{found}"):
        load_listener(reference)
