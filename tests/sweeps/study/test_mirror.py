from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from search_spaces import LeaseLostError, SweepError, UsageError
from sweeps.run_state import RunState
from sweeps.store.records import Fence
from sweeps.store.store import Store
from sweeps.study import mirror
from sweeps.study.mirror import StudyMirror
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study
from tests.fakes import CurveRunner, conductor_of, rows, snapshot_of, space, take, writer_of

SPEC = space(runs=8)


@pytest.fixture
def storage(sqlite_url: str) -> Iterator[RDBStorage]:
    one = RDBStorage(sqlite_url, engine_kwargs={"connect_args": {"timeout": 30}})
    yield one
    one.remove_session()
    one.engine.dispose()


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with Store(sqlite_url) as one:
        yield one


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "EVERY_S", 0.02)


class Flaky:
    """A study that fails at some of its calls."""

    def __init__(self, study: Study, fails: Callable[[int], bool]) -> None:
        self._study = study
        self._fails = fails
        self.calls = 0

    @property
    def trial_ids(self) -> dict[int, int]:
        return self._study.trial_ids

    def reread(self) -> None:
        self._study.reread()

    def sync(self, views: Any) -> None:
        self.calls += 1
        if self._fails(self.calls):
            raise ConnectionError("the database is away")
        self._study.sync(views)


def study_of(storage: RDBStorage) -> Study:
    return Study(storage, SPEC.name, SPEC.metric.goal, SPEC.search)


def shown(storage: RDBStorage) -> list[tuple[int, TrialState]]:
    found = optuna.load_study(study_name=SPEC.name, storage=storage).get_trials()
    return sorted((trial.number, trial.state) for trial in found)


def view(number: int, state: RunState = RunState.COMPLETE) -> RunSnapshot:
    values = {"optimizer.lr": 1e-3, "optimizer.betas.1": 0.95, "schedule.warmup": 0.1}
    return snapshot_of(number, state, values=values, value=0.5, curve={1: 0.5})


@contextmanager
def following(opened: Callable[[], Any], store: Store, fence: Fence) -> Iterator[StudyMirror]:
    """A mirror between the start and the end of a sweep."""
    copy = StudyMirror(opened, store, fence)
    copy.sweep_begins(SPEC, [])
    try:
        yield copy
    finally:
        with suppress(SweepError):
            copy.sweep_ends()


def test_a_sweep_is_copied_while_it_runs(store: Store, storage: RDBStorage, tmp_path: Path, often: None) -> None:
    writer = writer_of(store, SPEC, tmp_path / "c")
    with following(lambda: study_of(storage), store, writer.fence) as copy:
        conductor = conductor_of(SPEC, store, tmp_path / "c", writer, listener=copy)
        CurveRunner().run(conductor)
    assert copy.behind is None
    states = {RunState.COMPLETE: TrialState.COMPLETE, RunState.STOPPED: TrialState.PRUNED}
    assert shown(storage) == [(run.number, states[run.state]) for run in conductor.runs]
    linked = rows(str(storage.url), "SELECT run.number, trials.number FROM run JOIN trials ON trial_id=optuna_trial_id")
    assert sorted(tuple(row) for row in linked) == [(number, number) for number in range(8)]


def test_it_does_not_wait_for_the_end(store: Store, storage: RDBStorage, often: None) -> None:
    with following(lambda: study_of(storage), store, take(store, SPEC)) as copy:
        copy.run_begins(view(0, RunState.RUNNING))
        deadline = time.monotonic() + 5
        while not copy._linked and time.monotonic() < deadline:
            time.sleep(0.01)
        assert shown(storage) == [(0, TrialState.RUNNING)]


def test_a_run_never_waits_for_the_database(store: Store, storage: RDBStorage, often: None) -> None:
    gate = threading.Event()

    def slow() -> Study:
        gate.wait(10)
        return study_of(storage)

    with following(slow, store, take(store, SPEC)) as copy:
        time.sleep(0.1)  # the thread is in `slow` by now
        began = time.monotonic()
        for number in range(100):
            copy.run_begins(view(number % 8))
        assert time.monotonic() - began < 0.5
        gate.set()
    assert len(shown(storage)) == 8


@pytest.mark.parametrize("broken", [{1, 2, 3}, {2, 4}])
def test_it_catches_up_after_failures(
    store: Store, storage: RDBStorage, tmp_path: Path, often: None, broken: set[int]
) -> None:
    flaky: list[Flaky] = []
    calls: list[int] = []

    def fails(_: int) -> bool:
        calls.append(1)
        return len(calls) in broken

    def open_one() -> Any:
        flaky.append(Flaky(study_of(storage), fails))
        return flaky[-1]

    with following(open_one, store, take(store, SPEC)) as copy:
        copy.run_begins(view(0, RunState.RUNNING))
        deadline = time.monotonic() + 5
        while len(calls) < max(broken) and time.monotonic() < deadline:
            time.sleep(0.005)
        for number in range(4):
            copy.run_begins(view(number))
    assert len(calls) > max(broken)
    assert copy.behind is None
    assert shown(storage) == [(number, TrialState.COMPLETE) for number in range(4)]


def test_a_write_that_arrived_although_it_failed_is_not_made_twice(
    store: Store, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, deaths = storage.create_new_trial, []

    def cut_off(*arguments: Any, **named: Any) -> int:
        number = create(*arguments, **named)
        if not deaths:
            deaths.append(number)
            raise ConnectionError("the answer got lost")
        return number

    monkeypatch.setattr(storage, "create_new_trial", cut_off)
    with following(lambda: study_of(storage), store, take(store, SPEC)) as copy:
        for number in range(3):
            copy.run_begins(view(number))
    assert deaths
    assert copy.behind is None
    assert shown(storage) == [(number, TrialState.COMPLETE) for number in range(3)]


def test_a_study_that_cannot_be_opened_is_reported_and_raises_nothing(store: Store, often: None) -> None:
    def refused() -> Study:
        raise UsageError("somebody else's study")

    with following(refused, store, take(store, SPEC)) as copy:
        copy.run_begins(view(0))
    assert str(copy.behind) == "somebody else's study"
    with pytest.raises(SweepError, match="study is behind: somebody else's study; the same command completes it"):
        copy.sweep_ends()


def test_an_error_of_the_sweep_passes_through(store: Store, storage: RDBStorage) -> None:
    def sweep() -> None:
        with following(lambda: study_of(storage), store, take(store, SPEC)) as copy:
            copy.run_begins(view(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sweep()
    assert shown(storage) == [(0, TrialState.COMPLETE)]


def test_a_driver_that_was_overtaken_copies_nothing(store: Store, storage: RDBStorage, often: None) -> None:
    fence = take(store, SPEC)
    with following(lambda: study_of(storage), store, fence) as copy:
        copy.run_begins(view(0))
        deadline = time.monotonic() + 5
        while not copy._linked and copy._changed and time.monotonic() < deadline:
            time.sleep(0.01)
        take(store, SPEC)
        copy.run_begins(view(1))
    assert isinstance(copy.behind, LeaseLostError)
    assert shown(storage) == [(0, TrialState.COMPLETE)]
