"""The contract of every Runner, tested in this process and with a real Ray."""

from __future__ import annotations

import math
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import LogUniform, NoStopping, Recipe, Resources, SpaceSpec
from sweeps.engine.conductor import Conductor
from sweeps.run_state import RunState
from sweeps.runners.runner import InProcessRunner, Runner
from sweeps.store.store import Store
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import Watch, broken_rules, conductor_of, rows, space, states
from trainers.factory import open_training

LOOPS = '''
import math
import os
import signal
from pathlib import Path

def steady(config, seed, state=None):
    """Higher is better near lr 1e-2; every epoch depends on a number in the state."""
    at = {"epoch": 0, "number": float(seed % 1000) / 1000} if state is None else state
    lr, log = config["optimizer"]["lr"], config["custom"].get("log")
    while True:
        number = 3.9 * at["number"] * (1 - at["number"])  # chaotic: a wrong bit shows at once
        at = {"epoch": at["epoch"] + 1, "number": number}
        if log:
            with open(log, "a") as file:
                file.write(f"{lr} {at['epoch']}\\n")
        plateau = math.exp(-((math.log10(lr) + 2) ** 2) / 2)
        yield {"val/accuracy": plateau * (1 - 0.6 ** at["epoch"]) + number / 100, "train/loss": number}, at

def fragile(config, seed, state=None):
    for metrics, at in steady(config, seed, state):
        if config["optimizer"]["lr"] > 2e-3 and at["epoch"] == 2:
            raise ValueError("this learning rate is too much for me")
        yield metrics, at

def leaving(config, seed, state=None):
    for metrics, at in steady(config, seed, state):
        if config["optimizer"]["lr"] > 2e-3 and at["epoch"] == 2:
            raise SystemExit("diverged, giving up")
        yield metrics, at

def exiting(config, seed, state=None):
    for metrics, at in steady(config, seed, state):
        if config["optimizer"]["lr"] > 2e-3 and at["epoch"] == 2:
            os._exit(0)
        yield metrics, at

def unstable(config, seed, state=None):
    for metrics, at in steady(config, seed, state):
        bad = config["optimizer"]["lr"] > 2e-3 and at["epoch"] >= 3
        yield metrics | ({"train/loss": math.nan} if bad else {}), at

def mortal(config, seed, state=None):
    """The first worker of the baseline dies at its fifth epoch."""
    for metrics, at in steady(config, seed, state):
        died = Path(config["custom"]["died"])
        if config["optimizer"]["lr"] == 1e-3 and at["epoch"] == 5 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield metrics, at
'''


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the folder of a user's module with training loops."""
    folder = tmp_path_factory.mktemp("loops")
    (folder / "contract_loops.py").write_text(textwrap.dedent(LOOPS))
    path = list(sys.path)
    sys.path.append(str(folder))  # the tests also train in this process, with every runner
    yield str(folder)
    sys.path[:] = path
    sys.modules.pop("contract_loops", None)


@pytest.fixture(scope="module")
def ray_runner() -> Iterator[Runner]:
    from sweeps.runners.ray.environment import prepare

    prepare(None)
    from sweeps.runners.ray.connection import RayCluster
    from sweeps.runners.ray.runner import RayRunner

    cluster = RayCluster()
    yield RayRunner(cluster, Resources(cpu=1))
    cluster.close()


@pytest.fixture(params=["in_process", pytest.param("ray", marks=pytest.mark.slow)])
def runner(request: pytest.FixtureRequest) -> Runner:
    return InProcessRunner() if request.param == "in_process" else request.getfixturevalue("ray_runner")


def loop_space(loop: str, **changes: Any) -> SpaceSpec:
    wanted = {"search": {"optimizer.lr": LogUniform(1e-5, 1e-1)}, "runs": 6, "early_stopping": NoStopping()}
    return space(task=f"contract_loops:{loop}", **(wanted | changes))


def with_custom(spec: SpaceSpec, **custom: str) -> SpaceSpec:
    return spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"custom": custom})})


def run(runner: Runner, spec: SpaceSpec, url: str, loops: str, folder: Path, drain_at: int | None = None) -> Conductor:
    """Run one command; drain when a run has recorded epoch ``drain_at``."""
    with Store(url) as store:

        def watch(view: RunSnapshot) -> None:
            if drain_at is not None and view.state is RunState.RUNNING and max(view.curve, default=0) >= drain_at:
                conductor.drain()

        conductor = conductor_of(spec, store, folder, listener=Watch(watch), import_paths=(loops,))
        try:
            runner.start()
            runner.run(conductor)
            assert conductor.idle
            assert not any(one.state is RunState.RUNNING for one in conductor.runs)
        finally:
            conductor.close()
        return conductor


def expected(spec: SpaceSpec, conductor: Conductor, number: int) -> dict[int, float]:
    """Return the curve of an uninterrupted training of the same run."""
    one = conductor.runs[number]
    training = open_training(spec.task, Recipe.model_validate(one.recipe), one.seed, spec.resources.processes)
    reports = [training.run_epoch() for _ in range(spec.recipe.budget.epochs)]
    training.close()
    return {report.epoch: report.metrics[spec.metric.name] for report in reports}


def test_trains_every_run_to_its_end(runner: Runner, database_url: str, loops: str, tmp_path: Path) -> None:
    spec = loop_space("steady")
    conductor = run(runner, spec, database_url, loops, tmp_path)
    assert states(conductor) == {"COMPLETE": 6}
    assert runner.slots >= 1
    for number in range(6):
        assert conductor.runs[number].curve == expected(spec, conductor, number)
    assert broken_rules(database_url, spec) == []
    assert [row.attempts for row in rows(database_url, "SELECT attempts FROM run")] == [1] * 6


def test_a_run_can_be_trained_by_several_processes(
    runner: Runner, database_url: str, loops: str, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    spec = space(runs=2, early_stopping=NoStopping(), resources=Resources(cpu=2, processes=2))
    conductor = run(runner, spec, database_url, loops, tmp_path)
    assert [one.error for one in conductor.runs] == [None] * 2
    assert states(conductor) == {"COMPLETE": 2}
    torch.set_num_threads(2)
    assert conductor.runs[1].curve == expected(spec, conductor, 1)
    torch.set_num_threads(threads)
    assert broken_rules(database_url, spec) == []


def test_a_finished_sweep_is_left_alone(runner: Runner, database_url: str, loops: str, tmp_path: Path) -> None:
    spec = loop_space("steady", runs=1)
    run(runner, spec, database_url, loops, tmp_path)
    conductor = run(runner, spec, database_url, loops, tmp_path)
    assert conductor.first_report_at is None
    assert [row.attempts for row in rows(database_url, "SELECT attempts FROM run")] == [1]


def test_a_stopped_run_trains_no_further_epoch(runner: Runner, database_url: str, loops: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = with_custom(loop_space("steady", runs=12, early_stopping=space().early_stopping), log=str(log))
    conductor = run(runner, spec, database_url, loops, tmp_path)
    assert broken_rules(database_url, spec) == []
    assert states(conductor)["STOPPED"] >= 3
    trained = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert trained == {str(one.recipe.optimizer.lr): one.epoch for one in conductor.runs}


@pytest.mark.parametrize(
    ("loop", "reason"),
    [
        ("fragile", "ValueError: this learning rate is too much for me"),
        ("leaving", "SystemExit: diverged, giving up"),
    ],
)
def test_a_run_that_raises_is_failed_and_the_others_continue(
    runner: Runner, database_url: str, loops: str, tmp_path: Path, loop: str, reason: str
) -> None:
    conductor = run(runner, loop_space(loop, runs=8), database_url, loops, tmp_path)
    for one in conductor.runs:
        if one.recipe.optimizer.lr > 2e-3:
            assert (one.state, one.epoch) == (RunState.FAILED, 1)
            assert (one.error or "").splitlines()[-1] == reason
        else:
            assert (one.state, one.epoch, one.error) == (RunState.COMPLETE, 9, None)
    assert set(states(conductor)) == {"FAILED", "COMPLETE"}


@pytest.mark.slow
def test_a_run_that_ends_its_process_is_failed_and_the_others_continue(
    ray_runner: Runner, sqlite_url: str, loops: str, tmp_path: Path
) -> None:
    conductor = run(ray_runner, loop_space("exiting", runs=4), sqlite_url, loops, tmp_path)
    for one in conductor.runs:
        if one.recipe.optimizer.lr > 2e-3:
            assert one.state is RunState.FAILED
            assert "os._exit" in (one.error or "")
        else:
            assert one.state is RunState.COMPLETE
    assert set(states(conductor)) == {"FAILED", "COMPLETE"}


def test_a_task_that_cannot_be_loaded_fails_its_runs(
    runner: Runner, database_url: str, loops: str, tmp_path: Path
) -> None:
    conductor = run(runner, loop_space("absent", runs=3), database_url, loops, tmp_path)
    assert states(conductor) == {"FAILED": 3}
    assert all("absent" in (one.error or "") for one in conductor.runs)


def test_a_run_that_diverges_ends_there(runner: Runner, database_url: str, loops: str, tmp_path: Path) -> None:
    conductor = run(runner, loop_space("unstable", runs=8), database_url, loops, tmp_path)
    for one in conductor.runs:
        diverged = one.recipe.optimizer.lr > 2e-3
        assert one.state is (RunState.DIVERGED if diverged else RunState.COMPLETE)
        assert one.epoch == (3 if diverged else 9)
        assert one.value is not None
        assert math.isfinite(one.value)
    assert set(states(conductor)) == {"DIVERGED", "COMPLETE"}
    [[nulls]] = rows(database_url, "SELECT count(*) FROM epoch_metric WHERE value IS NULL AND name = 'train/loss'")
    assert nulls == states(conductor)["DIVERGED"]


def test_drains_and_continues_from_the_checkpoint_bit_by_bit(
    runner: Runner, database_url: str, loops: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    # A step ends at each rung: drained after epoch 1, the run stops after epoch 3, with the checkpoint of epoch 1.
    spec = loop_space("steady", early_stopping=space().early_stopping)
    spec = with_custom(spec, log=str(log)).model_copy(update={"search": {}, "runs": 1})
    first = run(runner, spec, database_url, loops, tmp_path, drain_at=1)
    assert states(first) == {"INTERRUPTED": 1}
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["1", "2", "3"]
    before = rows(database_url, "SELECT * FROM epoch_metric ORDER BY run_id, epoch, name")

    second = run(runner, spec, database_url, loops, tmp_path)
    assert states(second) == {"COMPLETE": 1}
    assert second.runs[0].curve == expected(spec, second, 0)
    epochs = [int(line.split()[1]) for line in log.read_text().splitlines()][3:]
    assert epochs[:8] == list(range(2, 10)), "the checkpoint of the first rung was not used"
    after = rows(database_url, "SELECT * FROM epoch_metric ORDER BY run_id, epoch, name")
    assert after[: len(before)] == before
    assert broken_rules(database_url, spec) == []


@pytest.mark.slow
def test_a_worker_that_dies_costs_an_attempt(ray_runner: Runner, database_url: str, loops: str, tmp_path: Path) -> None:
    spec = with_custom(loop_space("mortal", runs=4, early_stopping=space().early_stopping), died=str(tmp_path / "died"))
    conductor = run(ray_runner, spec, database_url, loops, tmp_path)
    assert (tmp_path / "died").exists()
    assert broken_rules(database_url, spec) == []
    assert conductor.runs[0].state is RunState.COMPLETE
    assert conductor.runs[0].curve == expected(spec, conductor, 0)
    assert [row.attempts for row in rows(database_url, "SELECT attempts FROM run ORDER BY number")] == [2, 1, 1, 1]
