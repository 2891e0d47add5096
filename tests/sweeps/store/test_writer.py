from __future__ import annotations

import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from search_spaces import LeaseLostError, NoStopping, SpaceSpec, SweepError
from sweeps.store import writer as writer_module
from sweeps.store.events import RunAdded, RunsInterrupted
from sweeps.store.store import Store
from sweeps.store.writer import Writer
from tests.fakes import CurveRunner, Watch, broken_rules, conductor_of, rows, run_sweep, snapshot, space, take

SPEC = space(runs=15)


class AwayStore:
    """A store that can be away: every transaction that writes fails until it is back.

    Args:
        store: The real one.
        arrives: A transaction takes effect although its answer is lost.
    """

    def __init__(self, store: Store, arrives: bool = False) -> None:
        self._store = store
        self._arrives = arrives
        self.away = threading.Event()
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return found if name not in ("write", "mark_complete") else self._guarded(found)

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.away.is_set():
                self.failures += 1
                if self._arrives:
                    method(*arguments)
                raise SweepError("the database does not answer: database or disk is full")
            return method(*arguments)

        return call


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SHORT_S", 0.01)
    monkeypatch.setattr(writer_module, "LONG_S", 0.05)
    monkeypatch.setattr(writer_module, "NOTICE_AFTER_S", 0.1)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with Store(sqlite_url) as one:
        yield one


def writer_on(store: Any, spec: SpaceSpec, path: Path, **options: Any) -> Writer:
    return Writer(store, take(store, spec), path, **options)


def added(number: int) -> RunAdded:
    return RunAdded(number, {}, str(number), 0)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_on_a_thread(database_url: str, tmp_path: Path, seed: int) -> None:
    with Store(database_url) as store, writer_on(store, SPEC, tmp_path / "s") as writer:
        conductor = conductor_of(SPEC, store, tmp_path / "c", writer)
        CurveRunner(seed=seed).run(conductor)
        conductor.close()
    assert broken_rules(database_url, SPEC) == []
    assert not (tmp_path / "s").exists()
    assert rows(database_url, "SELECT written_by, written FROM sweep") == [(None, 0)]


@pytest.mark.parametrize("arrives", [False, True])
def test_training_continues_while_the_database_is_unreachable(
    store: Store, sqlite_url: str, tmp_path: Path, arrives: bool
) -> None:
    away = AwayStore(store, arrives)
    with writer_on(away, SPEC, tmp_path / "s") as writer:
        conductor = conductor_of(SPEC, store, tmp_path / "c", writer)
        assert writer.flush(5)
        away.away.set()
        CurveRunner().run(conductor)  # to its end
        assert conductor.finished
        assert eventually(lambda: away.failures > 2)
        assert arrives or snapshot(sqlite_url) == {}
        time.sleep(0.15)
        assert re.fullmatch(r"database unreachable for \d s, [1-9]\d* records waiting", writer.remark)
        away.away.clear()
        assert writer.flush(10)
        assert writer.remark == ""
    assert broken_rules(sqlite_url, SPEC) == []
    assert all(attempts == 1 for (attempts,) in rows(sqlite_url, "SELECT attempts FROM run"))


def test_at_the_end_it_waits_so_long_and_the_next_driver_brings_the_rest_in(
    store: Store, sqlite_url: str, tmp_path: Path
) -> None:
    spec = space(early_stopping=NoStopping())
    away = AwayStore(store)
    away.away.set()
    said: list[str] = []
    writer = writer_on(away, spec, tmp_path / "c.journal", say=said.append, timeout_s=0.2)
    with pytest.raises(SweepError) as told, writer:
        CurveRunner().run(conductor_of(spec, store, tmp_path / "c", writer))
    assert "records wait in" in str(told.value)
    assert said[0].startswith("database unreachable: waiting up to 0 s to write ")
    assert "nothing is lost, the same command on this machine continues" in str(told.value)
    assert rows(sqlite_url, "SELECT count(*) FROM run") == [(0,)]
    store.renew_lease(writer.fence, None)
    store.put_sweep("toy", "sweep", "another file", "val/nll", "minimize", 0, {})  # its runs wait: it stays as it is
    assert store.sweep("toy").spec_yaml != "another file"  # type: ignore[union-attr]
    runner = CurveRunner()
    run_sweep(spec, sqlite_url, tmp_path / "c", runner)
    assert runner.steps == 0
    assert broken_rules(sqlite_url, spec) == []


def test_what_comes_after_a_record_waits_for_it(store: Store, tmp_path: Path) -> None:
    away = AwayStore(store)
    done: list[int] = []
    with writer_on(away, SPEC, tmp_path / "s") as writer:
        writer.then(lambda: done.append(0))
        assert eventually(lambda: done == [0])
        away.away.set()
        writer.put(added(0))
        writer.then(lambda: done.append(1))
        assert eventually(lambda: away.failures > 2)
        assert done == [0]
        away.away.clear()
        assert eventually(lambda: done == [0, 1])


def test_a_lost_lease_ends_it_without_a_write(store: Store, sqlite_url: str, tmp_path: Path) -> None:
    done: list[int] = []
    writer = writer_on(store, SPEC, tmp_path / "s")
    with pytest.raises(LeaseLostError, match="another driver took sweep 'toy' over"), writer:  # noqa: PT012
        take(store, SPEC)
        writer.put(added(0))
        writer.then(lambda: done.append(1))
        assert eventually(lambda: writer._error is not None)
        with pytest.raises(LeaseLostError):
            writer.put(added(1))
    assert rows(sqlite_url, "SELECT count(*) FROM run") == [(0,)]
    assert done == []
    assert not (tmp_path / "s").exists()


def test_a_lost_lease_is_found_at_the_end_too(store: Store, tmp_path: Path) -> None:
    with pytest.raises(LeaseLostError), writer_on(store, SPEC, tmp_path / "s"):
        take(store, SPEC)


def test_what_the_database_refuses_reaches_whoever_records_next(store: Store, tmp_path: Path) -> None:
    writer = writer_on(store, SPEC, tmp_path / "s")
    with pytest.raises(IntegrityError), writer:  # noqa: PT012
        writer.put(RunAdded(0, {}, "same", 0))
        writer.put(RunAdded(1, {}, "same", 0))
        assert eventually(lambda: writer._error is not None)
        writer.put(RunsInterrupted())


def test_the_file_begins_anew_when_it_is_large(
    store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LARGE", 2000)
    spec = space(runs=20)
    largest = 0
    with writer_on(store, spec, tmp_path / "s") as writer:
        conductor = conductor_of(spec, store, tmp_path / "c", writer, listener=Watch(lambda view: time.sleep(0.001)))
        runner = CurveRunner()
        runner.run(conductor)
        assert writer.flush(10)
        assert eventually(lambda: (tmp_path / "s").stat().st_size < 200)
        largest = max(largest, (tmp_path / "s").stat().st_size)
        for number in range(20, 30):
            writer.put(added(number))
            assert writer.flush(10)
    assert rows(sqlite_url, "SELECT count(*) FROM run") == [(30,)]


def test_a_database_that_comes_back_older_gets_the_rest_again(store: Store, sqlite_url: str, tmp_path: Path) -> None:
    # As a server does that answers before its disk has a transaction, and crashes.
    with writer_on(store, SPEC, tmp_path / "s") as writer:
        for number in range(5):
            writer.put(added(number))
        assert writer.flush(5)
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("DELETE FROM run WHERE number > 1")
            connection.execute("UPDATE sweep SET written = 2")
        writer.put(added(5))
    assert rows(sqlite_url, "SELECT number FROM run ORDER BY number") == [(number,) for number in range(6)]


@pytest.mark.parametrize("seed", range(4))
def test_a_database_that_comes_and_goes(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    rng, over = random.Random(seed), threading.Event()
    with Store(sqlite_url) as store:
        away = AwayStore(store, arrives=seed % 2 == 0)

        def disturb() -> None:
            while not over.wait(rng.uniform(0, 0.02)):
                (away.away.clear if away.away.is_set() else away.away.set)()
            away.away.clear()

        thread = threading.Thread(target=disturb)
        thread.start()
        with writer_on(away, SPEC, tmp_path / "s") as writer:
            conductor = conductor_of(SPEC, store, tmp_path / "c", writer)
            CurveRunner(seed=seed).run(conductor)
            over.set()
            thread.join()
    assert broken_rules(sqlite_url, SPEC) == []


def test_a_file_that_is_locked_for_long(store: Store, sqlite_url: str, tmp_path: Path) -> None:
    with (
        writer_on(store, SPEC, tmp_path / "s") as writer,
        closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other,
    ):
        conductor = conductor_of(SPEC, store, tmp_path / "c", writer)
        assert writer.flush(5)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        CurveRunner().run(conductor)
        assert time.monotonic() - began < 4
        time.sleep(max(0.0, began + 5 - time.monotonic()))
        assert "records waiting" in writer.remark
        other.execute("ROLLBACK")
    assert broken_rules(sqlite_url, SPEC) == []
