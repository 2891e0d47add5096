"""A command that is watched for its first seconds, real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import CommandTask
from trainers.command.observation import Observation, observe
from trainers.command.start import CommandStart

ROOT = str(Path(__file__).resolve().parents[3])

REPORTS = """
import signal
from sweeps.client import report
signal.signal(signal.SIGTERM, lambda *_: None)  # it ends only because a report says so
step = 0
while not report({"val/loss": 1.0 / (step + 1)}, step=(step := step + 1)):
    pass
open("stopped", "w").close()
"""


def watched(tmp_path: Path, script: str, metrics: str | dict[str, str], most: int) -> Observation:
    words = (sys.executable, "-c", script)
    task = CommandTask(command=words, metrics=metrics, grace_s=60)
    start = CommandStart(words, {**os.environ, "PYTHONPATH": ROOT}, str(tmp_path), tmp_path, False)
    return observe(task, start, Budget(steps=1000), 60.0, lambda readings: len(readings) >= most)


@pytest.mark.parametrize("metrics", ["report", "stdout"])
def test_a_program_that_reports_is_answered_and_told_to_stop(tmp_path: Path, metrics: str) -> None:
    seen = watched(tmp_path, REPORTS, metrics, 3)
    assert [one.progress for one in seen.readings] == [1, 2, 3]
    assert seen.readings[1].values == {"val/loss": 0.5}
    assert len(seen.times) == 3
    assert (tmp_path / "stopped").exists()


def test_a_program_that_prints_and_ends(tmp_path: Path) -> None:
    seen = watched(tmp_path, "print('step=5 loss=0.5'); print('bye'); raise SystemExit(3)", "stdout", 3)
    assert [(one.progress, one.values) for one in seen.readings] == [(5, {"train/loss": 0.5})]
    assert seen.code == 3
    assert seen.last_lines == ("step=5 loss=0.5", "bye")


WRITES = """
import time
with open("log.jsonl", "w", buffering=1) as log:
    for step in range(1000):
        log.write('{"step": %d, "loss": 0.5}\\n' % step)
        time.sleep(0.1)
"""


def test_a_file_of_a_program_that_is_stopped_is_closed(tmp_path: Path) -> None:
    seen = watched(tmp_path, WRITES, {"jsonl": "log.jsonl"}, 2)
    assert len(seen.readings) >= 2
    assert [one.path for one in psutil.Process().open_files() if one.path.endswith("log.jsonl")] == []
