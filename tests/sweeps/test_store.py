from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from search_spaces import SweepError, UsageError
from sweeps.database import connect
from sweeps.records import Outcome
from sweeps.store import Store
from sweeps.tables import SCHEMA_VERSION, RunState
from tests.fakes import add_sweep, rows, snapshot, space
from trainers.reports import EpochReport, Predictions

RUNNING = Outcome(RunState.RUNNING)
SEED = 2**63 - 1  # the largest that `derive_seed` gives


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as one:
        yield one


@pytest.fixture
def sweep_id(store: Store) -> int:
    return add_sweep(store, space())


@pytest.fixture
def run_id(store: Store, sweep_id: int) -> int:
    return store.add_run(sweep_id, 0, {"optimizer": {"lr": 0.1}}, "hash", SEED)


def report(epoch: int, value: float = 0.5, **more: float) -> EpochReport:
    return EpochReport(epoch, {"val/accuracy": value, **more}, 0.25)


def test_a_sweep_comes_back_as_it_was_written(store: Store) -> None:
    assert store.sweep("toy") is None
    before = datetime.now(UTC)
    store.put_sweep("toy", "sweep", "kind: sweep\n", "val/nll", "minimize", 2**32 - 1, {"cpus": 2})
    sweep = store.sweep("toy")
    assert sweep is not None
    assert (sweep.spec_yaml, sweep.metric, sweep.goal, sweep.seed) == (
        "kind: sweep\n",
        "val/nll",
        "minimize",
        2**32 - 1,
    )
    assert (sweep.lease_owner, sweep.lease_expires) == (None, None)
    assert before - timedelta(seconds=1) <= sweep.created_at <= datetime.now(UTC)


def test_a_sweep_that_nobody_drives_takes_another_file(store: Store) -> None:
    store.put_sweep("toy", "sweep", "first", "val/nll", "minimize", 0, {})
    first = store.sweep("toy")
    store.put_sweep("toy", "sweep", "second", "val/nll", "maximize", 1, {})
    sweep = store.sweep("toy")
    assert first is not None
    assert sweep is not None
    assert (sweep.id, sweep.spec_yaml, sweep.goal) == (first.id, "second", "maximize")
    store.set_spec(sweep.id, "third")
    assert store.sweep("toy").spec_yaml == "third"  # type: ignore[union-attr]


def test_a_sweep_that_is_driven_keeps_its_file(store: Store) -> None:
    store.put_sweep("toy", "sweep", "first", "val/nll", "minimize", 0, {})
    sweep = store.sweep("toy")
    assert sweep is not None
    assert store.take_lease(sweep.id, "somebody", datetime.now(UTC) + timedelta(minutes=1))
    store.put_sweep("toy", "sweep", "second", "val/nll", "maximize", 1, {})
    assert store.sweep("toy").spec_yaml == "first"  # type: ignore[union-attr]


def test_a_run_comes_back_as_it_was_written(store: Store, sweep_id: int, run_id: int) -> None:
    [run] = store.runs(sweep_id)
    assert (run.id, run.number, run.recipe, run.recipe_hash) == (run_id, 0, {"optimizer": {"lr": 0.1}}, "hash")
    assert (run.seed, run.state, run.epoch, run.value, run.attempts) == (SEED, RunState.INTERRUPTED, 0, None, 0)
    assert (run.started_at, run.finished_at, run.checkpoint, run.error) == (None, None, None, None)


def test_unique_constraints(store: Store, sweep_id: int, run_id: int) -> None:
    with pytest.raises(IntegrityError):
        store.add_run(sweep_id, 0, {}, "other", 0)  # the number
    with pytest.raises(IntegrityError):
        store.add_run(sweep_id, 1, {}, "hash", SEED)  # the recipe with the seed
    store.add_run(sweep_id, 1, {}, "hash", 0)
    store.add_run(add_sweep(store, space(name="other")), 0, {}, "hash", SEED)
    assert [run.number for run in store.runs(sweep_id)] == [0, 1]


def test_begin_counts_attempts_and_keeps_the_first_start(store: Store, sweep_id: int, run_id: int) -> None:
    store.begin(run_id, None)
    first = store.runs(sweep_id)[0]
    store.begin(run_id, "trial")
    [second] = store.runs(sweep_id)
    assert (second.state, second.attempts, second.started_at) == (RunState.RUNNING, 2, first.started_at)
    assert first.started_at is not None


def test_recording_moves_the_run_on(store: Store, sweep_id: int, run_id: int) -> None:
    store.record(run_id, [report(1, 0.1), report(2, 0.2)], 0, Outcome(RunState.RUNNING, 0.2))
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value, run.seconds, run.finished_at) == (RunState.RUNNING, 2, 0.2, 0.5, None)
    store.record(run_id, [], 2, Outcome(RunState.FAILED, None, "Traceback"))
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value, run.error) == (RunState.FAILED, 2, 0.2, "Traceback")
    assert run.finished_at is not None


def test_recording_again_changes_nothing(store: Store, sweep_id: int, run_id: int, database_url: str) -> None:
    store.record(run_id, [report(1, 0.1), report(2, 0.2)], 0, RUNNING)
    before = snapshot(database_url)
    store.record(run_id, [report(1, 0.9), report(2, 0.9), report(3, 0.3)], 2, RUNNING)
    after = snapshot(database_url)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {(run_id, 3, "val/accuracy")}
    [run] = store.runs(sweep_id)
    assert (run.epoch, run.seconds) == (3, 0.75)  # repeated epochs count once


def test_recording_is_all_or_nothing(store: Store, sweep_id: int, run_id: int, database_url: str) -> None:
    class Unwritable(dict[str, float]):
        """Its second look gives a value that no column takes."""

        def items(self) -> Any:
            return [("val/accuracy", 0.2), (None, 0.3)]

    broken = EpochReport(2, Unwritable(), 0.25)
    with pytest.raises(IntegrityError):
        store.record(run_id, [report(1), broken], 0, Outcome(RunState.COMPLETE, 0.2))
    assert snapshot(database_url) == {}
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value) == (RunState.INTERRUPTED, 0, None)


def test_numbers_that_are_none(store: Store, sweep_id: int, run_id: int, database_url: str) -> None:
    store.record(run_id, [report(1, math.nan, a=math.inf, b=-math.inf, c=5e-324, d=1.7e308)], 0, RUNNING)
    values = {name: value for (_, _, name), (value, _) in snapshot(database_url).items()}
    assert values == {"val/accuracy": None, "a": math.inf, "b": -math.inf, "c": 5e-324, "d": 1.7e308}
    [(number, epoch, value)] = store.curve(sweep_id, "val/accuracy")
    assert (number, epoch) == (0, 1)
    assert math.isnan(value)
    assert store.curve(sweep_id, "a") == ((0, 1, math.inf),)


def test_floats_come_back_bit_by_bit(store: Store, sweep_id: int, run_id: int) -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(size=20)]
    store.record(run_id, [report(epoch, value) for epoch, value in enumerate(values, 1)], 0, RUNNING)
    assert [value for _, _, value in store.curve(sweep_id, "val/accuracy")] == values


def test_predictions_come_back_byte_by_byte(store: Store, run_id: int, database_url: str) -> None:
    rng = np.random.default_rng(0)
    part = Predictions(
        "test",
        "raw",
        label=rng.integers(0, 10, 50).astype(np.int32),
        predicted=rng.integers(0, 10, 50).astype(">i4"),  # type: ignore[arg-type]  # any byte order comes in
        confidence=rng.random(50).astype(np.float32),
        nll=np.array([np.nan, np.inf, *rng.random(48)], dtype=np.float32),
    )
    last = EpochReport(1, {"val/accuracy": 0.5}, 0.1, (part,))
    store.record(run_id, [last], 0, Outcome(RunState.COMPLETE, 0.5))
    store.record(run_id, [last], 1, Outcome(RunState.COMPLETE, 0.5))
    [row] = rows(database_url, "SELECT split, weights, n, label, predicted, confidence, nll FROM prediction")
    assert tuple(row[:3]) == ("test", "raw", 50)
    for found, expected, kind in zip(
        row[3:], (part.label, part.predicted, part.confidence, part.nll), ("<i4", "<i4", "<f4", "<f4"), strict=True
    ):
        np.testing.assert_array_equal(np.frombuffer(found, kind), expected)


def test_interrupts_its_own_running_runs_only(store: Store, sweep_id: int) -> None:
    other = add_sweep(store, space(name="other"))
    ids = [store.add_run(sweep_id, number, {}, str(number), 0) for number in range(3)]
    foreign = store.add_run(other, 0, {}, "hash", 0)
    for one in (*ids[:2], foreign):
        store.begin(one, None)
    store.record(ids[1], [report(1)], 0, Outcome(RunState.STOPPED, 0.5))
    for _ in range(2):
        store.interrupt_runs(sweep_id)
        assert [run.state.value for run in store.runs(sweep_id)] == ["INTERRUPTED", "STOPPED", "INTERRUPTED"]
    assert store.runs(other)[0].state is RunState.RUNNING


def test_order_of_recording(store: Store, sweep_id: int) -> None:
    ids = [store.add_run(sweep_id, number, {}, str(number), 0) for number in range(2)]
    other = store.add_run(add_sweep(store, space(name="other")), 0, {}, "0", 0)
    assert store.next_seq(sweep_id) == 0
    store.record(ids[1], [report(1, 0.1, x=1.0), report(2, 0.2)], 0, RUNNING)
    assert store.next_seq(sweep_id) == 2
    store.record(ids[0], [report(1, 0.3)], 2, RUNNING)
    store.record(other, [report(1, 0.9)], 70, RUNNING)
    assert store.curve(sweep_id, "val/accuracy") == ((1, 1, 0.1), (1, 2, 0.2), (0, 1, 0.3))
    assert store.curve(sweep_id, "x") == ((1, 1, 1.0),)
    assert store.next_seq(sweep_id) == 3


def test_checkpoints_and_trials_are_noted(store: Store, sweep_id: int, run_id: int, database_url: str) -> None:
    store.set_checkpoint(run_id, "/c/final.ckpt")
    store.link_trials(sweep_id, {0: 17, 5: 18})
    assert store.runs(sweep_id)[0].checkpoint == "/c/final.ckpt"
    assert rows(database_url, "SELECT optuna_trial_id FROM run") == [(17,)]
    store.set_checkpoint(run_id, None)
    assert store.runs(sweep_id)[0].checkpoint is None


def test_another_schema_is_refused(store: Store, sweep_id: int, database_url: str) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE sweep SET schema_version = {SCHEMA_VERSION + 1}")
    engine.dispose()
    with pytest.raises(SweepError, match=f"schema {SCHEMA_VERSION + 1}, this release writes {SCHEMA_VERSION}"):
        store.sweep("toy")


def test_opening_again_keeps_everything(store: Store, sweep_id: int, run_id: int, database_url: str) -> None:
    with Store(database_url) as again:
        assert [run.id for run in again.runs(sweep_id)] == [run_id]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:s3cret@host/db",
        "nonsense s3cret",
        "postgresql+psycopg://ann:s3cret@127.0.0.1:1/db?connect_timeout=2",
        "postgresql+psycopg2://ann:s3cret@127.0.0.1:1/db",
    ],
)
def test_unusable_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Store(url)
    assert str(refusal.value).startswith("--storage")
    assert "s3cret" not in str(refusal.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be read as one" * 30)
    with pytest.raises(UsageError, match="cannot create the tables"):
        Store(f"sqlite:///{tmp_path}/notes.txt")


def test_a_database_that_goes_away_is_a_sweep_error(store: Store, database_url: str) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE prediction")
        connection.exec_driver_sql("DROP TABLE epoch_metric")
    engine.dispose()
    with pytest.raises(SweepError, match="the database does not answer"):
        store.next_seq(1)


def _together(*jobs: Any) -> list[BaseException]:
    """Start all at the same moment; what they raised."""
    gate, errors = threading.Barrier(len(jobs)), []

    def work(job: Any) -> None:
        gate.wait()
        try:
            job()
        except BaseException as error:  # noqa: BLE001  shown by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_two_writers_wait_for_each_other(store: Store, sweep_id: int, database_url: str) -> None:
    ids = [store.add_run(sweep_id, number, {}, str(number), 0) for number in range(2)]
    with Store(database_url) as second:

        def write(own: Store, run: int) -> None:
            for epoch in range(1, 41):
                own.record(run, [report(epoch)], epoch, RUNNING)
                own.runs(sweep_id)

        errors = _together(lambda: write(store, ids[0]), lambda: write(second, ids[1]), lambda: write(store, ids[1]))
    assert errors == []
    assert [(run.epoch, run.seconds) for run in store.runs(sweep_id)] == [(40, 10.0), (40, 10.0)]
    assert len(snapshot(database_url)) == 80


@pytest.mark.parametrize("attempt", range(6))
def test_drivers_make_a_new_database_at_the_same_moment(tmp_path: Path, attempt: int) -> None:
    errors = _together(*[lambda: Store(f"sqlite:///{tmp_path}/new.db").close()] * 6)
    assert errors == []


def test_two_drivers_open_a_new_database_at_the_same_moment(database_url: str) -> None:
    def open_and_add() -> None:
        with Store(database_url) as one:
            one.put_sweep("toy", "sweep", "", "val/nll", "minimize", 0, {})

    assert _together(*[open_and_add] * 4) == []
    assert rows(database_url, "SELECT count(*) FROM sweep") == [(1,)]
