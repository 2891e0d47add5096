"""`repeats` of a space: the command that ends a sweep confirms it on fresh seeds, and a killed one continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.command import Command, in_this_process
from tests.fakes import rows

ROOT = Path(__file__).resolve().parents[2]
URL = "sqlite:///runs/sweeps.db"
LOOPS = """
import random, time

def train(config, seed, state=None):
    noise = random.Random(f"{seed} {config['custom']['x']}")
    for epoch in range(1, 1 + config["budget"]["epochs"]):
        time.sleep(config["custom"]["pause"])
        error = (config["custom"]["x"] - 0.7) ** 2 + noise.gauss(0, 0.001)
        yield {"val/loss": error, "test/loss": error + 0.1}
"""
SPACE = """
kind: sweep
task: repeated_loops:train
metric: {name: val/loss, goal: minimize}
recipe: {budget: {epochs: 2}, custom: {x: 0.1, pause: 0.0}}
search: {custom.x: {uniform: [0.0, 1.0]}}
sampler: {kind: random}
early_stopping: {kind: none}
runs: 4
repeats: {top: 2, seeds: 3}
"""
COUNTS = "SELECT sweep.name AS name, count(*) AS runs FROM run JOIN sweep ON sweep.id = sweep_id GROUP BY sweep.name"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "repeated_loops.py").write_text(LOOPS)
    (tmp_path / "toy.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sweeps(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_this_process(monkeypatch, capsys, 160)


def counts() -> dict[str, int]:
    return {row.name: row.runs for row in rows(URL, COUNTS)}


def test_the_command_that_ends_a_sweep_confirms_it(sweeps: Command, folder: Path) -> None:
    done = sweeps("run", "toy.yaml", "--local")
    assert done.code == 0, done.text
    assert counts() == {"toy": 4, "toy-confirm": 3 * 3}
    [seeds] = [{row.seed for row in rows(URL, "SELECT seed FROM run WHERE arm = ''")}]
    assert not seeds & {row.seed for row in rows(URL, "SELECT seed FROM run WHERE arm != ''")}
    assert "sweeps report toy    # now begins with this verdict" in done.out

    assert sweeps("report", "toy").code == 0
    report = (folder / "reports" / "toy" / "report.md").read_text()
    assert 0 < report.index("BETTER") < report.index("BEST FOUND")

    again = sweeps("run", "toy.yaml", "--local")
    assert again.code == 0, again.text
    assert counts() == {"toy": 4, "toy-confirm": 9}


def test_repeats_may_be_added_to_a_sweep_and_compare_the_recipes_of_their_time(sweeps: Command, folder: Path) -> None:
    (folder / "toy.yaml").write_text(SPACE.replace("repeats: {top: 2, seeds: 3}", ""))
    assert sweeps("run", "toy.yaml", "--local").code == 0
    assert counts() == {"toy": 4}
    (folder / "toy.yaml").write_text(SPACE)
    assert sweeps("run", "toy.yaml", "--local").code == 0
    assert counts() == {"toy": 4, "toy-confirm": 9}
    longer = sweeps("run", "toy.yaml", "--local", "--runs", "40")
    assert longer.code == 0, longer.text
    assert "toy-confirm has compared other recipes than the best ones of now" in longer.out
    assert counts() == {"toy": 40, "toy-confirm": 9}


def test_a_sweep_without_a_better_recipe_has_nothing_to_repeat(sweeps: Command, folder: Path) -> None:
    done = sweeps("run", "toy.yaml", "--local", "--runs", "1")
    assert done.code == 0, done.text
    assert "repeats  not started: 'toy' has no finalist other than its baseline" in done.out
    assert counts() == {"toy": 1}


def test_the_cost_of_repeats_is_in_the_dry_run(sweeps: Command) -> None:
    done = sweeps("run", "toy.yaml", "--dry-run")
    assert done.code == 0, done.text
    assert "repeats 9 runs more: the best 2 and the baseline on 3 seeds each, 18 epochs, " in done.out


def test_repeats_that_are_wrong_are_found_in_the_file(sweeps: Command, folder: Path) -> None:
    (folder / "toy.yaml").write_text(SPACE.replace("{top: 2, seeds: 3}", "{top: 0, seed: 3}"))
    done = sweeps("run", "toy.yaml", "--local")
    assert done.code == 2
    assert "toy.yaml:10: repeats.top: must be at least 1, found 0" in done.err
    assert "toy.yaml:10: repeats.seed: unknown name; did you mean seeds?" in done.err


@pytest.mark.slow
@pytest.mark.parallel
def test_a_killed_driver_continues_the_repeats_with_the_same_command(folder: Path) -> None:
    command = [str(Path(sys.executable).with_name("sweeps")), "run", "toy.yaml", "--local", "--set", "custom.pause=0.2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def repeated() -> int:
        try:
            return counts().get("toy-confirm", 0)
        except OperationalError:  # there are no tables yet
            return 0

    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as driver:
        end = time.monotonic() + 120
        while repeated() < 4:
            assert time.monotonic() < end
            time.sleep(0.1)
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts() == {"toy": 4, "toy-confirm": 9}
    assert {row.state for row in rows(URL, "SELECT state FROM run")} == {"COMPLETE"}
