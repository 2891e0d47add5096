from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from analysis.load import output_frame, output_lines, runs_of, usage_frame
from search_spaces import AdamW, LeaseLostError, Recipe, SpaceSpec, SweepError, UsageError
from sweeps.run_state import RunState
from sweeps.store.database import connect
from sweeps.store.events import (
    Event,
    OutputRecorded,
    RunAdded,
    RunBegun,
    RunsInterrupted,
    StepRecorded,
    WeightsKept,
    decode,
    encode,
)
from sweeps.store.records import Fence, RunOutcome
from sweeps.store.store import Store
from sweeps.store.tables import SCHEMA_VERSION, missing_columns
from tests.fakes import add_sweep, rows, snapshot, space, take
from trainers.reports import EpochReport, Predictions
from trainers.usage import Usage

RUNNING = RunOutcome(RunState.RUNNING)
RECIPE = Recipe(optimizer=AdamW(lr=0.1))
SEED = 2**63 - 1  # the largest that `derive_seed` gives


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as one:
        yield one


@pytest.fixture
def sweep_id(store: Store) -> int:
    return add_sweep(store, space())


@pytest.fixture
def book(store: Store, sweep_id: int) -> Book:
    return Book(store, space())


class Book:
    """A driver that writes each event at once.

    Args:
        store: The database.
        spec: Its sweep.
    """

    def __init__(self, store: Store, spec: SpaceSpec) -> None:
        self.store = store
        self.fence = take(store, spec)
        store.take_over(self.fence)
        self.count = 0

    def write(self, *events: Event) -> None:
        self.count = self.store.write(self.fence, events, self.count)

    def add(self, number: int = 0, seed: int = SEED, **more: Any) -> None:
        digest = more.pop("recipe_hash", str(number))
        self.write(RunAdded(number, RECIPE.model_dump(mode="json"), digest, seed, **more))

    def record(self, reports: list[EpochReport], seq: int, outcome: RunOutcome = RUNNING, number: int = 0) -> None:
        self.write(StepRecorded(number, tuple(reports), seq, outcome, datetime.now(UTC)))


def run_ids(url: str) -> dict[int, int]:
    return dict(map(tuple, rows(url, "SELECT number, id FROM run WHERE sweep_id = 1")))


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
    store.set_spec(take(store, space()), "third")
    assert store.sweep("toy").spec_yaml == "third"  # type: ignore[union-attr]


def test_a_sweep_that_is_driven_keeps_its_file(store: Store) -> None:
    store.put_sweep("toy", "sweep", "first", "val/nll", "minimize", 0, {})
    sweep = store.sweep("toy")
    assert sweep is not None
    assert store.take_lease(sweep.id, "somebody", 60.0)
    store.put_sweep("toy", "sweep", "second", "val/nll", "maximize", 1, {})
    assert store.sweep("toy").spec_yaml == "first"  # type: ignore[union-attr]


def test_a_run_comes_back_as_it_was_written(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    [run] = store.runs(sweep_id)
    assert (run.number, run.recipe, run.recipe_hash) == (0, RECIPE, "0")
    assert (run.seed, run.state, run.epoch, run.value, run.attempts) == (SEED, RunState.INTERRUPTED, 0, None, 0)
    assert (run.started_at, run.finished_at, run.checkpoint, run.error) == (None, None, None, None)


def test_unique_constraints(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    with pytest.raises(IntegrityError):
        book.add(1, recipe_hash="0")  # the recipe with the seed
    book.add(1, seed=0, recipe_hash="0")
    Book(store, space(name="other")).add()
    assert [run.number for run in store.runs(sweep_id)] == [0, 1]


def test_begin_counts_attempts_and_keeps_the_first_start(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    book.write(RunBegun(0, 1, datetime.now(UTC)))
    first = store.runs(sweep_id)[0]
    book.write(RunBegun(0, 2, datetime.now(UTC), "trial"))
    [second] = store.runs(sweep_id)
    assert (second.state, second.attempts, second.started_at) == (RunState.RUNNING, 2, first.started_at)
    assert first.started_at is not None


def test_recording_moves_the_run_on(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    book.record([report(1, 0.1), report(2, 0.2)], 0, RunOutcome(RunState.RUNNING, 0.2))
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value, run.seconds, run.finished_at) == (RunState.RUNNING, 2, 0.2, 0.5, None)
    book.record([], 2, RunOutcome(RunState.FAILED, None, "Traceback"))
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value, run.error) == (RunState.FAILED, 2, 0.2, "Traceback")
    assert run.finished_at is not None


def test_entries_are_written_once_however_often_they_come(store: Store, sweep_id: int, book: Book) -> None:
    events = [
        RunAdded(0, RECIPE.model_dump(mode="json"), "0", SEED),
        RunBegun(0, 1, datetime.now(UTC)),
        StepRecorded(0, (report(1, 0.1),), 0, RunOutcome(RunState.COMPLETE, 0.1), datetime.now(UTC)),
    ]
    assert store.write(book.fence, events, 0) == 3
    done = store.runs(sweep_id)
    for start in range(3):  # no state is seen again on the way: the end of one is the state of all
        assert store.write(book.fence, events[: start + 1], 0) == 3
        assert store.write(book.fence, events[start:], start) == 3
        assert store.runs(sweep_id) == done


def test_a_gap_is_reported_and_nothing_is_written(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    assert store.write(book.fence, [RunsInterrupted(), RunAdded(1, RECIPE.model_dump(mode="json"), "1", 0)], 5) == 1
    assert len(store.runs(sweep_id)) == 1
    assert store.written(sweep_id) == (book.fence.owner, 1)


def test_an_old_fence_writes_nothing(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    newer = take(store, space())
    for write in (
        lambda: book.add(1),
        lambda: store.take_over(book.fence),
        lambda: store.mark_complete(book.fence),
        lambda: store.set_spec(book.fence, "other"),
        lambda: store.link_trials(book.fence, {0: 7}),
    ):
        with pytest.raises(LeaseLostError, match="another driver took sweep 'toy' over"):
            write()
    assert not store.renew_lease(book.fence, 30.0)
    assert not store.renew_lease(book.fence, None)
    assert len(store.runs(sweep_id)) == 1
    assert store.sweep("toy").lease_owner == newer.owner  # type: ignore[union-attr]
    assert newer.token == book.fence.token + 1


def test_recording_again_changes_nothing(store: Store, sweep_id: int, book: Book, database_url: str) -> None:
    book.add()
    book.record([report(1, 0.1), report(2, 0.2)], 0, RUNNING)
    before = snapshot(database_url)
    book.record([report(1, 0.9), report(2, 0.9), report(3, 0.3)], 2, RUNNING)
    after = snapshot(database_url)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {(1, 3, "val/accuracy")}
    [run] = store.runs(sweep_id)
    assert (run.epoch, run.seconds) == (3, 0.75)  # repeated epochs count once


def test_recording_is_all_or_nothing(store: Store, sweep_id: int, book: Book, database_url: str) -> None:
    book.add()

    class Unwritable(dict[str, float]):
        """Its second look gives a value that no column takes."""

        def items(self) -> Any:
            return [("val/accuracy", 0.2), (None, 0.3)]

    broken = EpochReport(2, Unwritable(), 0.25)
    with pytest.raises(IntegrityError):
        book.record([report(1), broken], 0, RunOutcome(RunState.COMPLETE, 0.2))
    assert snapshot(database_url) == {}
    [run] = store.runs(sweep_id)
    assert (run.state, run.epoch, run.value) == (RunState.INTERRUPTED, 0, None)


def test_numbers_that_are_none(store: Store, sweep_id: int, book: Book, database_url: str) -> None:
    book.add()
    book.record([report(1, math.nan, a=math.inf, b=-math.inf, c=5e-324, d=1.7e308)], 0, RUNNING)
    values = {name: value for (_, _, name), (value, _) in snapshot(database_url).items()}
    assert values == {"val/accuracy": None, "a": math.inf, "b": -math.inf, "c": 5e-324, "d": 1.7e308}
    [(number, epoch, value)] = store.curve(sweep_id, "val/accuracy")
    assert (number, epoch) == (0, 1)
    assert math.isnan(value)
    assert store.curve(sweep_id, "a") == ((0, 1, math.inf),)


def test_floats_come_back_bit_by_bit(store: Store, sweep_id: int, book: Book) -> None:
    book.add()
    values = [float(value) for value in np.random.default_rng(0).normal(size=20)]
    book.record([report(epoch, value) for epoch, value in enumerate(values, 1)], 0, RUNNING)
    assert [value for _, _, value in store.curve(sweep_id, "val/accuracy")] == values


def test_predictions_come_back_byte_by_byte(book: Book, database_url: str) -> None:
    book.add()
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
    book.record([last], 0, RunOutcome(RunState.COMPLETE, 0.5))
    book.record([last], 1, RunOutcome(RunState.COMPLETE, 0.5))
    [row] = rows(database_url, "SELECT split, weights, n, label, predicted, confidence, nll FROM prediction")
    assert tuple(row[:3]) == ("test", "raw", 50)
    for found, expected, kind in zip(
        row[3:], (part.label, part.predicted, part.confidence, part.nll), ("<i4", "<i4", "<f4", "<f4"), strict=True
    ):
        np.testing.assert_array_equal(np.frombuffer(found, kind), expected)


def test_interrupts_its_own_running_runs_only(store: Store, sweep_id: int, book: Book) -> None:
    other = Book(store, space(name="other"))
    for number in range(3):
        book.add(number)
    other.add()
    for one, number in ((book, 0), (book, 1), (other, 0)):
        one.write(RunBegun(number, 1, datetime.now(UTC)))
    book.record([report(1)], 0, RunOutcome(RunState.STOPPED, 0.5), 1)
    for _ in range(2):
        book.write(RunsInterrupted())
        assert [run.state.value for run in store.runs(sweep_id)] == ["INTERRUPTED", "STOPPED", "INTERRUPTED"]
    assert store.runs(other.fence.sweep_id)[0].state is RunState.RUNNING
    store.take_over(other.fence)
    assert store.runs(other.fence.sweep_id)[0].state is RunState.INTERRUPTED


def test_order_of_recording(store: Store, sweep_id: int, book: Book) -> None:
    for number in range(2):
        book.add(number)
    other = Book(store, space(name="other"))
    other.add()
    assert store.next_seq(sweep_id) == 0
    book.record([report(1, 0.1, x=1.0), report(2, 0.2)], 0, RUNNING, 1)
    assert store.next_seq(sweep_id) == 2
    book.record([report(1, 0.3)], 2)
    other.record([report(1, 0.9)], 70)
    assert store.curve(sweep_id, "val/accuracy") == ((1, 1, 0.1), (1, 2, 0.2), (0, 1, 0.3))
    assert store.curve(sweep_id, "x") == ((1, 1, 1.0),)
    assert store.next_seq(sweep_id) == 3


def test_weights_and_trials_are_noted(store: Store, sweep_id: int, book: Book, database_url: str) -> None:
    for number in range(3):
        book.add(number)
    store.link_trials(book.fence, {0: 17, 5: 18})
    assert rows(database_url, "SELECT optuna_trial_id FROM run ORDER BY number") == [(17,), (None,), (None,)]
    for number, path, expected in (
        (0, "/a", ["/a", None, None]),
        (2, "/c", [None, None, "/c"]),
        (None, None, [None] * 3),
    ):
        book.write(WeightsKept(number, path))
        assert [run.checkpoint for run in store.runs(sweep_id)] == expected


def test_tables_of_another_release_are_refused(sqlite_url: str) -> None:
    Store(sqlite_url).close()
    engine = connect(sqlite_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sweep DROP COLUMN lease_token")
    engine.dispose()
    with pytest.raises(UsageError, match=r"of another release \(they lack sweep\.lease_token\): use the release"):
        Store(sqlite_url)


def test_another_schema_is_refused(store: Store, sweep_id: int, database_url: str) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE sweep SET schema_version = {SCHEMA_VERSION + 1}")
    engine.dispose()
    with pytest.raises(SweepError, match=f"schema {SCHEMA_VERSION + 1}, this release writes {SCHEMA_VERSION}"):
        store.sweep("toy")


def test_opening_again_keeps_everything(store: Store, sweep_id: int, book: Book, database_url: str) -> None:
    book.add()
    with Store(database_url) as again:
        assert [run.number for run in again.runs(sweep_id)] == [0]


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
    with Store(database_url) as second:
        books = [Book(store, space()), Book(second, space(name="other"))]
        for book in books:
            book.add()

        def write(book: Book) -> None:
            for epoch in range(1, 41):
                book.record([report(epoch)], epoch)
                book.store.runs(sweep_id)

        errors = _together(lambda: write(books[0]), lambda: write(books[1]))
    assert errors == []
    assert [(run.epoch, run.seconds) for book in books for run in store.runs(book.fence.sweep_id)] == [(40, 10.0)] * 2
    assert len(snapshot(database_url)) == 80


def test_of_many_that_ask_at_once_one_gets_the_lease(store: Store, sweep_id: int) -> None:
    fences: list[Fence | None] = []
    jobs = [
        lambda name=f"elsewhere:{n}:1.00:ab": fences.append(store.take_lease(sweep_id, name, 30.0)) for n in range(6)
    ]
    assert _together(*jobs) == []
    [fence] = [fence for fence in fences if fence is not None]
    assert store.sweep("toy").lease_owner == fence.owner  # type: ignore[union-attr]


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


def test_the_provenance_is_replaced_for_the_holder_of_the_lease_only(store: Store, sweep_id: int, book: Book) -> None:
    store.set_provenance(book.fence, {"cpus": 4, "changes": [{"text": "x"}]})
    row = store.sweep("toy")
    assert row is not None
    assert row.provenance == {"cpus": 4, "changes": [{"text": "x"}]}
    with pytest.raises(LeaseLostError):
        store.set_provenance(replace(book.fence, token=book.fence.token - 1), {})


# --- output -----------------------------------------------------------------------------------------------------


def test_the_output_of_an_attempt_is_replaced_and_that_of_another_follows(
    store: Store, book: Book, sweep_id: int, database_url: str
) -> None:
    book.add(0)
    book.add(1)
    now = datetime.now(UTC)
    for attempt, printed in ((1, "a"), (1, "a\n\u00e9\\x00"), (2, "b")):
        book.write(decode(encode(OutputRecorded(0, attempt, printed, now))))
    assert store.printed(sweep_id) == {0}
    assert output_lines(output_frame(database_url, "toy", 0)) == ["a", "\u00e9\\x00", "--- attempt 2 ---", "b"]
    assert output_frame(database_url, "toy", 1).empty


@pytest.mark.parametrize(
    ("table", "frame", "columns"),
    [
        ("run_output", output_frame, {"number", "attempt", "text"}),
        ("run_usage", usage_frame, {"number", "attempt", "hardware", "gpus", "seconds"}),
    ],
)
def test_a_database_of_an_earlier_release_lacks_a_table_until_it_is_written(
    table: str,
    frame: Callable[[str, str], pd.DataFrame],
    columns: set[str],
    store: Store,
    book: Book,
    sweep_id: int,
    database_url: str,
) -> None:
    book.add(0)
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {table}"))
        assert missing_columns(connection) == []
    engine.dispose()
    found = frame(database_url, "toy")
    assert found.empty
    assert columns <= set(found.columns)
    assert [run.number for run in runs_of(database_url, "toy")] == [0]
    with Store(database_url) as again:
        assert again.printed(sweep_id) == frozenset()


# --- usage ------------------------------------------------------------------------------------------------------


def test_the_usage_of_an_attempt_is_replaced_and_that_of_another_follows(
    store: Store, book: Book, sweep_id: int, database_url: str
) -> None:
    book.add(0)
    now = datetime.now(UTC)
    for attempt, seconds in ((1, 10.0), (1, 20.0), (2, 5.0)):
        usage = Usage("H100", 0.5, seconds, 2 * seconds, 2**40, 9, None if attempt == 1 else 7.5)
        book.write(decode(encode(StepRecorded(0, (), 0, RUNNING, now, attempt=attempt, usage=usage))))
    book.write(StepRecorded(0, (), 0, RUNNING, now, attempt=2))  # keeps what is stored
    found = usage_frame(database_url, "toy")
    assert found[["number", "attempt", "hardware", "gpus", "seconds", "cpu_seconds"]].to_numpy().tolist() == [
        [0, 1, "H100", 0.5, 20.0, 40.0],
        [0, 2, "H100", 0.5, 5.0, 10.0],
    ]
    assert found["peak_memory"].tolist() == [2**40, 2**40]
    assert math.isnan(found["energy_j"][0])
    assert found["energy_j"][1] == 7.5
