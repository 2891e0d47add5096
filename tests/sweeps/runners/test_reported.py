from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path

import pytest

from search_spaces import Recipe
from search_spaces.recipe.recipe import Budget
from sweeps.engine.messages import Job
from sweeps.runners.worker import Worker
from tests.command import in_this_process

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/report.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, text in re.findall(
        r"^# (train.py|report.yaml|fit.py|fit.yaml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE
    ):
        Path(name).write_text(text)


def test_a_step_ends_with_the_report_that_is_awaited(tmp_path: Path) -> None:
    recipe = Recipe(args={"lr": 1.0}, budget=Budget(steps=8)).model_dump()
    outputs = str(tmp_path / "outputs")
    command = {"command": [sys.executable, "train.py", "${args}"], "metrics": "report"}
    worker = Worker()
    worker.start(Job(0, "train.py", recipe, 0, (), "", 60.0, 1, 0, (str(tmp_path),), 1, command, 1, outputs))
    steps = [worker.step()]
    while not steps[-1].finished and steps[-1].error is None:
        steps.append(worker.step())
    worker.close()
    assert steps[-1].error is None
    found = [[report.epoch for report in step.reports] for step in steps if step.reports]
    assert found == [[step] for step in range(1, 9)]


def test_a_run_that_asha_stops_saves_and_stays_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = in_this_process(monkeypatch, capsys)("run", "report.yaml", "--local", "--name", "reported")
    assert done.code == 0, done.text
    [database] = Path().rglob("*.db")
    with sqlite3.connect(database) as connection:
        runs = connection.execute("SELECT number, state, error FROM run ORDER BY number").fetchall()
    states = {number: state for number, state, _ in runs}
    assert [error for _, _, error in runs] == [None] * 6
    assert states[0] == "COMPLETE"
    stopped = {number for number, state in states.items() if state == "STOPPED"}
    assert stopped == set(states) - {number for number, state in states.items() if state == "COMPLETE"} != set()
    saved = [int(path.read_text()) for path in Path().rglob("stopped")]
    assert len(saved) == len(stopped)
    assert set(saved) <= {2, 4}


def test_a_function_that_blocks_is_a_loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    done = in_this_process(monkeypatch, capsys)("run", "fit.yaml", "--local")
    assert done.code == 0, done.text
    assert "4 of 4" in done.out
    assert "failed" not in done.out
