"""The errors of runs, and when the first ones end a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import (
    Recipe,
)
from sweeps.engine.conductor import Conductor
from sweeps.engine.failures import ALIKE, failures, same_error
from sweeps.engine.messages import Step
from sweeps.store.store import Store
from tests.fakes import (
    CurveRunner,
    analytic,
    conductor_of,
    mark_complete,
    run_sweep,
    space,
    states,
    writer_of,
)


def failing(recipe: Recipe, epoch: int) -> dict[str, float]:
    raise ZeroDivisionError("no data left")


@pytest.mark.parametrize("slots", [1, 4])
def test_a_sweep_stops_when_its_first_runs_fail_alike(sqlite_url: str, tmp_path: Path, slots: int) -> None:
    spec = space(runs=16)
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(failing, slots=slots))
    assert conductor.gave_up == "ZeroDivisionError: no data left"
    assert ALIKE <= len(conductor.runs) < spec.runs
    assert not conductor.finished
    # The next command starts anew: the error may have been fixed.
    assert states(run_sweep(spec, sqlite_url, tmp_path / "checkpoints"))["COMPLETE"] > 0


def test_errors_that_differ_in_numbers_are_alike(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        raise ValueError(f"<Model at {id(recipe):#x}> of {tmp_path}/{recipe.optimizer.lr}.pt: lr {recipe.optimizer.lr}")

    spec = space(runs=16)
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(curve, slots=1))
    assert len(conductor.runs) == ALIKE
    assert conductor.gave_up is not None
    assert conductor.gave_up.startswith("ValueError: <Model at 0x")
    assert failures(conductor.runs) == [f"{conductor.gave_up} (run 0, ...)"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RuntimeError: epoch 3, loss=0.12", "RuntimeError: epoch 17, loss=-1e-05"),
        ("E: [Errno 2] No such file: '/tmp/run-1/x.pt'", "E: [Errno 2] No such file: '/tmp/run-2/b/y.pt'"),
        ("E: <Data object at 0x7f3a2b1c>", "E: <Data object at 0xffffab>"),
        ("E: 2026-11-28 10:52:01.123456+00:00", "E: 2026-11-29 09:00:00.5+00:00"),
        ("E: job 3f2a9c1d-1234-4aaa-bbbb-cccccccccccc", "E: job deadbeef-0000-4aaa-bbbb-cccccccccccc"),
        ("E: loss nan", "E: loss 3.0"),
    ],
)
def test_what_differs_between_errors_that_are_alike(one: str, other: str) -> None:
    assert same_error(one) == same_error(other)


@pytest.mark.parametrize(("one", "other"), [("KeyError: 'a'", "KeyError: 'b'"), ("ValueError: 1", "TypeError: 1")])
def test_other_errors_are_not_alike(one: str, other: str) -> None:
    assert same_error(one) != same_error(other)


def test_the_error_of_a_group_of_exceptions_is_its_last_one(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])

    conductor = run_sweep(space(runs=4), sqlite_url, tmp_path / "checkpoints", CurveRunner(curve, slots=1))
    assert conductor.gave_up == "TypeError: b"


def test_a_sweep_continues_with_keep_going(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(runs=6)
    with Store(sqlite_url) as store:
        writer = writer_of(store, spec, tmp_path)
        conductor = conductor_of(spec, store, tmp_path, writer, keep_going=True)
        CurveRunner(failing).run(conductor)
        conductor.close()
        mark_complete(store, writer)
    assert (states(conductor), conductor.gave_up) == ({"FAILED": 6}, None)


@pytest.mark.parametrize("reason", ["another error", "a success"])
def test_a_sweep_continues_after(sqlite_url: str, tmp_path: Path, reason: str) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        if recipe.optimizer.lr == 1e-3:  # the baseline
            if reason == "a success":
                return analytic(recipe, epoch)
            raise ValueError("another")
        raise ZeroDivisionError("no data left")

    runner = CurveRunner(curve, slots=1)
    conductor = run_sweep(space(runs=6), sqlite_url, tmp_path / "checkpoints", runner)
    assert (conductor.finished, conductor.gave_up) == (True, None)


def fail_first_runs(conductor: Conductor, *nodes: str) -> None:
    for node in nodes:
        job = conductor.next_job()
        assert job is not None
        conductor.report(job.number, Step(error="RuntimeError: no card"), node)


def test_failures_on_one_of_several_nodes_do_not_stop_a_sweep(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=8), store, tmp_path / "c")
        conductor.nodes = 2
        fail_first_runs(conductor, *["a"] * ALIKE)
        assert (conductor.gave_up, conductor.draining) == (None, False)
        fail_first_runs(conductor, "b")  # the task is the cause
        assert conductor.gave_up == "RuntimeError: no card"
        assert conductor.draining


def test_failures_on_the_only_node_stop_a_sweep(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=8), store, tmp_path / "c")
        fail_first_runs(conductor, *["a"] * ALIKE)
        assert conductor.gave_up == "RuntimeError: no card"
