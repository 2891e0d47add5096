"""Time limits and out of memory: decisions of the conductor, and real drivers with real workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces import NoStopping
from sweeps.engine.conductor import Conductor
from sweeps.engine.messages import Step
from sweeps.run_state import RunState
from sweeps.store.store import Store
from tests.fakes import conductor_of, rows, space
from trainers.reports import EpochReport


def epoch(number: int, seconds: float = 1.0) -> Step:
    return Step((EpochReport(number, {"val/accuracy": 0.5}, seconds),))


STARVED = Step(error="out of memory on the device\nTraceback ...\nOutOfMemoryError", out_of_memory=True)


@pytest.fixture
def conduct(sqlite_url: str, tmp_path: Path) -> Any:
    stores: list[Store] = []

    def made(**changes: Any) -> Conductor:
        stores.append(Store(sqlite_url))
        spec = space(**({"runs": 2, "early_stopping": NoStopping()} | changes))
        return conductor_of(spec, stores[-1], tmp_path / "c")

    yield made
    for store in stores:
        store.close()


def number(conductor: Conductor) -> int:
    job = conductor.next_job()
    assert job is not None
    return job.number


def flushed(conductor: Conductor, url: str, query: str) -> list[Any]:
    conductor._writer.write()
    return [tuple(row) for row in rows(url, query)]


# --- time -------------------------------------------------------------------------------------------------------


def test_a_run_that_takes_longer_than_its_limit_has_failed(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(time_limit_s=5.0)
    run = number(conductor)
    assert conductor.report(run, epoch(1, 2.0))
    assert conductor.report(run, epoch(2, 3.0))  # at the limit is in time
    assert not conductor.report(run, epoch(3, 0.1))
    assert conductor.runs[run].state is RunState.FAILED
    assert conductor.runs[run].epoch == 3  # what was trained is kept
    assert conductor.runs[run].error == "time limit: epoch 3 ended after 5 s of 5 s"
    assert number(conductor) == 1


def test_the_time_of_an_unfinished_epoch_counts(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(time_limit_s=5.0)
    run = number(conductor)
    assert conductor.report(run, epoch(1, 2.0))
    assert conductor.report(run, Step(unfinished_s=2.5))
    assert not conductor.expired(run, quiet_s=0.5)
    assert not conductor.report(run, Step(unfinished_s=3.1))
    assert conductor.runs[run].error == "time limit: epoch 2 had not ended after 5 s of 5 s"
    hangs = number(conductor)
    assert conductor.report(hangs, Step(unfinished_s=3.0))
    assert conductor.expired(hangs, quiet_s=2.5)


def test_an_attempt_begins_without_the_unfinished_time_of_the_last_one(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(time_limit_s=5.0, runs=1)
    run = number(conductor)
    assert conductor.report(run, Step(unfinished_s=4.0))
    conductor.lost(run, "killed")
    assert not conductor.expired(number(conductor), quiet_s=4.0)


def test_a_run_that_ends_is_in_time(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(time_limit_s=5.0)
    assert not conductor.report(number(conductor), Step(epoch(1, 9.0).reports, finished=True))
    assert conductor.runs[0].state is RunState.COMPLETE


def test_a_run_that_hangs(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(time_limit_s=5.0)
    run = number(conductor)
    conductor.report(run, epoch(1, 3.0))
    assert not conductor.expired(run, quiet_s=2.0)
    assert conductor.expired(run, quiet_s=2.1)
    assert conductor.runs[run].state is RunState.FAILED
    assert str(conductor.runs[run].error).startswith("time limit: no report for 2 s after epoch 1")


def test_without_a_limit_nothing_expires(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct()
    assert not conductor.expired(number(conductor), quiet_s=1e9)


# --- memory -----------------------------------------------------------------------------------------------------


def test_a_run_out_of_memory_is_retried_once(conduct: Callable[..., Conductor], sqlite_url: str) -> None:
    conductor = conduct(runs=1)
    run = number(conductor)
    assert not conductor.report(run, STARVED)
    assert conductor.runs[run].state is RunState.INTERRUPTED
    assert not conductor.idle
    assert number(conductor) == run
    assert not conductor.report(run, STARVED)
    assert conductor.idle
    [stored] = flushed(conductor, sqlite_url, "SELECT state, attempts, error FROM run")
    assert stored[:2] == ("FAILED", 2)
    assert stored[2].startswith("out of memory on the device")


def test_the_second_try_may_succeed(conduct: Callable[..., Conductor], sqlite_url: str) -> None:
    conductor = conduct(runs=1)
    conductor.report(number(conductor), STARVED)
    conductor.report(number(conductor), Step(epoch(1).reports, finished=True))
    assert flushed(conductor, sqlite_url, "SELECT state, attempts, error FROM run") == [("COMPLETE", 2, None)]


def test_the_next_driver_counts_an_earlier_out_of_memory(
    conduct: Callable[..., Conductor], sqlite_url: str, tmp_path: Path
) -> None:
    conductor = conduct(runs=1)
    run = number(conductor)
    conductor.drain()
    conductor.report(run, STARVED)
    conductor.close()
    [(error,)] = flushed(conductor, sqlite_url, "SELECT error FROM run")
    assert error.startswith("out of memory")
    with Store(sqlite_url) as store:
        again = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        assert not again.report(number(again), STARVED)
        assert again.runs[0].state is RunState.FAILED


def test_a_run_that_is_put_back_is_the_next_one(conduct: Callable[..., Conductor]) -> None:
    conductor = conduct(runs=3)
    run = number(conductor)
    conductor.put_back(run)
    assert conductor.runs[run].state is RunState.INTERRUPTED
    assert number(conductor) == run
    assert conductor.runs[run].deaths_without_progress == 0


# --- real drivers -----------------------------------------------------------------------------------------------

LOOPS = """
import os, pathlib, resource, time, torch

def hangs(config, seed, state=None):
    time.sleep(0.6)  # longer than a step, so that every epoch ends one
    yield {"val/accuracy": 0.5}
    if config["optimizer"]["lr"] > 3e-3:
        time.sleep(3600)
    yield {"val/accuracy": 0.6}

def starves(config, seed, state=None):
    yield {"val/accuracy": 0.5}
    if config["optimizer"]["lr"] > 3e-3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    once = pathlib.Path(f"out_of_memory-{config['optimizer']['lr']}")
    if config["optimizer"]["lr"] < 3e-4 and not once.exists():
        once.touch()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * 4096 + 2**28, hard))
        try:
            bytearray(2**31)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    yield {"val/accuracy": 0.6}
"""
SPACE = """
kind: sweep
task: limit_loops:{loop}
metric: {{name: val/accuracy, goal: maximize}}
recipe: {{budget: {{epochs: 2}}, optimizer: {{kind: adamw, lr: 1.0e-3}}}}
search: {{optimizer.lr: {{choice: [1.0e-4, 1.0e-3, 1.0e-2]}}}}
sampler: {{kind: grid}}
early_stopping: {{kind: none}}
time_limit_s: {limit}
runs: 4
"""


def driven(folder: Path, loop: str, limit: str, *more: str) -> tuple[str, list[Any]]:
    (folder / "limit_loops.py").write_text(LOOPS)
    (folder / "limited.yaml").write_text(SPACE.format(loop=loop, limit=limit))
    url = f"sqlite:///{folder / 'sweeps.db'}"
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.cli.app", "run", "limited.yaml", "--storage", url, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    query = "SELECT json_extract(recipe, '$.optimizer.lr'), state, epoch, attempts, error FROM run ORDER BY number"
    return done.stdout, [tuple(row) for row in rows(url, query)]


@pytest.mark.slow
def test_a_real_run_that_hangs_is_ended_and_the_sweep_continues(tmp_path: Path) -> None:
    _, found = driven(tmp_path, "hangs", "4")
    for lr, state, epochs, attempts, error in found:
        assert attempts == 1
        if lr > 3e-3:
            assert (state, epochs) == ("FAILED", 1)
            assert error.startswith("time limit: no report for ")
        else:
            assert (state, epochs, error) == ("COMPLETE", 2, None)
    assert sum(state == "FAILED" for _, state, *_ in found) == 1


@pytest.mark.parametrize("more", [("--local",), pytest.param((), marks=pytest.mark.slow)])
def test_real_memory_that_runs_out(tmp_path: Path, more: tuple[str, ...]) -> None:
    _, found = driven(tmp_path, "starves", "null", *more)
    for lr, state, _, attempts, error in found:
        if lr > 3e-3:
            assert (state, attempts) == ("FAILED", 2)
            assert error.startswith("out of memory on the device\n")
            assert "Tried to allocate 20.00 GiB" in error
        else:
            assert (state, attempts, error) == ("COMPLETE", 2 if lr < 3e-4 else 1, None)
