from __future__ import annotations

import math
import time
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from analysis.load import epochs_frame, runs_by_sweep, runs_frame, runs_of, sweeps_frame
from search_spaces import Recipe, UsageError
from sweeps.engine.conductor import Conductor
from sweeps.store.database import connect
from sweeps.store.store import Store
from tests.command import in_this_process
from tests.fakes import CurveRunner, add_sweep, run_sweep, snapshot, space, unstable


@pytest.fixture
def conductor(database_url: str, tmp_path: Path) -> Conductor:
    run_sweep(space(name="other", runs=2), database_url, tmp_path / "other")
    return run_sweep(space(), database_url, tmp_path / "c", CurveRunner(unstable))


def test_runs(conductor: Conductor, database_url: str) -> None:
    frame = runs_frame(database_url, "toy")
    assert list(frame["number"]) == list(range(12))
    assert [Recipe.model_validate(recipe) for recipe in frame["recipe"]] == [run.recipe for run in conductor.runs]
    assert list(frame["seed"]) == [run.seed for run in conductor.runs]  # 63 bits, not rounded by a float
    assert list(frame["value"]) == [run.value for run in conductor.runs]
    assert set(frame["sweep"]) == {"toy"}
    assert len(runs_frame(database_url)) == 14
    assert runs_frame(database_url, "nothing").empty


def test_records_are_those_of_the_store(conductor: Conductor, database_url: str) -> None:
    found = runs_by_sweep(database_url)
    assert list(found) == ["other", "toy"]
    with Store(database_url) as store:
        for name, runs in found.items():
            assert tuple(runs) == store.runs(store.sweep(name).id)  # type: ignore[union-attr]
    assert runs_of(database_url, "toy") == found["toy"]
    assert runs_of(database_url, "nothing") == []
    assert [(run.recipe, run.seed, run.value, run.state, run.started_at) for run in found["toy"]] == [
        (run.recipe, run.seed, run.value, run.state, run.started_at) for run in conductor.runs
    ]


def test_times_are_in_utc(conductor: Conductor, database_url: str) -> None:
    for created in sweeps_frame(database_url)["created_at"]:
        assert abs(created - pd.Timestamp.now(tz="UTC")) < pd.Timedelta(minutes=2)
    frame = runs_frame(database_url, "toy")
    assert (frame["finished_at"] >= frame["started_at"]).all()
    assert abs(frame["finished_at"].max() - pd.Timestamp.now(tz="UTC")) < pd.Timedelta(minutes=2)


def test_sweeps(conductor: Conductor, database_url: str) -> None:
    frame = sweeps_frame(database_url)
    assert list(frame["name"]) == ["other", "toy"]
    assert list(frame["provenance"]) == [{"python": "3"}] * 2
    assert frame["lease_owner"].isna().all()


def test_epochs(conductor: Conductor, database_url: str) -> None:
    frame = epochs_frame(database_url, "toy")
    for run in conductor.runs:
        mine = frame[(frame["number"] == run.number) & (frame["name"] == "val/accuracy")]
        assert dict(zip(mine["epoch"], mine["value"], strict=True)) == run.curve
        pd.testing.assert_frame_equal(
            epochs_frame(database_url, "toy", run.number), frame[frame["number"] == run.number].reset_index(drop=True)
        )
    assert frame["seq"].is_monotonic_increasing
    assert len(frame) + len(epochs_frame(database_url, "other")) == len(snapshot(database_url))


def test_what_was_no_number_is_nan(sqlite_url: str, tmp_path: Path) -> None:
    def nothing(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"val/accuracy": math.nan, "train/loss": math.nan}

    run_sweep(space(runs=2), sqlite_url, tmp_path / "c", CurveRunner(nothing))
    frame = epochs_frame(sqlite_url, "toy")
    assert frame["value"].dtype == "float64"
    assert frame["value"].isna().all()
    assert len(frame) == 4
    assert runs_frame(sqlite_url, "toy")["value"].isna().all()


def test_a_missing_file_is_reported_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no sweeps at .*none\.db: run one first"):
        sweeps_frame(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_holds_no_sweeps(postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for url in (postgres_url, f"sqlite:///{tmp_path}/empty.db"):
        with pytest.raises(UsageError, match="no sweeps at"):
            sweeps_frame(url)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are notes, long enough to look like the page of a database" * 20)
    with pytest.raises(UsageError, match="no sweeps at"):
        sweeps_frame(f"sqlite:///{tmp_path}/notes.db")


def test_no_password_is_shown() -> None:
    with pytest.raises(UsageError) as refusal:
        sweeps_frame("postgresql+psycopg://ann:s3cret@127.0.0.1:1/db?connect_timeout=2")
    assert "s3cret" not in str(refusal.value)


def test_a_server_that_refuses_is_reported_with_its_reason(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps = in_this_process(monkeypatch, capsys)
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as server:
        [place] = server.execute("SELECT current_setting('hba_file')").fetchone() or [""]
        rules = Path(place).read_text()
        try:
            server.execute("CREATE ROLE ann LOGIN PASSWORD 'right'")
            Path(place).write_text(f"local all ann scram-sha-256\n{rules}")
            server.execute("SELECT pg_reload_conf()")
            monkeypatch.setenv("PGPASSWORD", "wr0ng")
            command = ["list", "--storage", postgres_url.replace("//postgres@", "//ann@")]
            while "no sweeps" in (answer := sweeps(*command)).err:  # the server reads its rules a moment later
                time.sleep(0.1)
        finally:
            Path(place).write_text(rules)
            server.execute("SELECT pg_reload_conf()")
            server.execute("DROP ROLE ann")
    assert answer.code == 2
    [line] = answer.err.splitlines()
    assert line.startswith("--storage: postgresql+psycopg://ann@")
    assert line.endswith('password authentication failed for user "ann"')
    assert "wr0ng" not in line


def test_a_sweep_without_runs(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        add_sweep(store, space())
    assert len(sweeps_frame(sqlite_url)) == 1
    assert runs_frame(sqlite_url, "toy").empty
    assert epochs_frame(sqlite_url, "toy").empty


def test_tables_of_another_release_are_reported_as_such(database_url: str, tmp_path: Path) -> None:
    run_sweep(space(runs=1), database_url, tmp_path / "c")
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE run DROP COLUMN node")
    engine.dispose()
    with pytest.raises(UsageError, match=r"its tables are of another release \(they lack run\.node\): use the release"):
        runs_frame(database_url)
