"""`--checkpoints` as a person types it: a real driver that is killed, and continued from what lies on S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeps.store.database import DEFAULT_URL
from sweeps.store.store import Store
from tests.command import Command, in_this_process
from tests.fakes import CurveRunner, conductor_of, rows, run_sweep, space
from trainers.storage import checkpoints
from trainers.storage.address import open_folder
from trainers.storage.local import LocalFolder

LOOP = """
import math, os, time

def train(config, seed, state=None):
    at = {"epoch": 0, "number": float(seed % 1000) / 1000} if state is None else state
    lr = config["optimizer"]["lr"]
    while True:
        time.sleep(config["custom"]["pause"])
        number = 3.9 * at["number"] * (1 - at["number"])  # chaotic: a wrong bit shows at once
        at = {"epoch": at["epoch"] + 1, "number": number}
        if "LOG" in os.environ:
            with open(os.environ["LOG"], "a") as file:
                file.write(f"{lr} {at['epoch']}\\n")
        yield {"val/accuracy": math.exp(-(math.log10(lr) + 2) ** 2) + number / 100}, at
"""
SPACE = """
kind: sweep
task: elsewhere_loops:train
metric: {name: val/accuracy, goal: maximize}
recipe: {budget: {epochs: 12}, custom: {pause: 0.1}}
search: {optimizer.lr: {loguniform: [1e-5, 1e-1]}}
sampler: {kind: random}
early_stopping: {kind: none}
runs: 2
checkpoint_every_s: 0.1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "elsewhere_loops.py").write_text(LOOP)
    (tmp_path / "toy.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere_loops", raising=False)
    return tmp_path


@pytest.fixture
def sweeps(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_this_process(monkeypatch, capsys)


def until(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def curves(url: str) -> list[Any]:
    query = "SELECT number, epoch_metric.epoch, epoch_metric.value FROM epoch_metric JOIN run ON run.id = run_id"
    return sorted(tuple(row) for row in rows(url, query))


def test_a_driver_that_is_killed_is_continued_from_s3(
    project: Path, sweeps: Command, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, url = project / "log", DEFAULT_URL
    command = ["run", "toy.yaml", "--local", "--checkpoints", s3_url]
    with subprocess.Popen(
        [sys.executable, "-c", "from sweeps.cli.app import main; main()", *command],
        cwd=project,
        env={**os.environ, "LOG": str(log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        folder = open_folder(s3_url).child("toy")
        until(lambda: bool(folder.child("000001").names()), process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    assert (project / "runs/checkpoints/toy.journal").exists()
    newest = max(folder.child("000001").names())
    before = log.read_text().splitlines()
    monkeypatch.setenv("LOG", str(log))
    answer = sweeps(*command)
    assert answer.code == 0, answer.text
    # Nothing but the epochs since the checkpoint was trained twice.
    again = [int(line.split()[1]) for line in log.read_text().splitlines()[len(before) :]]
    assert again == list(range(int(newest[6:12]) + 1, 13))
    assert rows(url, "SELECT attempts FROM run ORDER BY number") == [(1,), (2,)]

    monkeypatch.delenv("LOG")
    whole = f"sqlite:///{project / 'whole.db'}"
    assert sweeps("run", "toy.yaml", "--local", "--storage", whole).code == 0
    assert curves(url) == curves(whole)
    assert len(curves(url)) == 2 * 12

    # What the database says of the weights is where they are, and is no secret.
    [(number, kept)] = rows(url, "SELECT number, checkpoint FROM run WHERE checkpoint IS NOT NULL")
    assert kept == folder.child(f"{number:06d}").url("final.ckpt")
    parent, _, query = kept.partition("/final.ckpt")
    assert checkpoints.load(open_folder(parent + query), "final.ckpt")["epoch"] == 12
    assert folder.names() == [f"{number:06d}"]
    assert f"weights: {kept}" in sweeps("show", "toy", str(number)).out.replace("\n", "")
    for reading in (("apply", "toy"), ("export", "toy"), ("list",), ("status", "toy")):
        assert sweeps(*reading).code == 0
    assert not list((project / "runs/checkpoints").iterdir())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nope://host/x", "Protocol not known: nope"),
        ("s3://AKIA:hidden@bucket/x", "remove them"),
        ("/proc/none", "No such file"),
    ],
)
@pytest.mark.parametrize("command", ["run", "ablate"])
def test_a_folder_that_cannot_be_used_is_2_before_anything_is_made(
    sweeps: Command, project: Path, command: str, url: str, words: str
) -> None:
    answer = sweeps(command, *(["toy.yaml"] if command == "run" else ["label_smoothing"]), "--checkpoints", url)
    assert answer.code == 2
    [line] = answer.err.splitlines()
    assert line.startswith("--checkpoints: ")
    assert words in line
    assert "hidden" not in answer.text
    assert not (project / "runs").exists()


@pytest.mark.parametrize("command", ["run", "ablate", "confirm", "extend"])
def test_every_command_that_trains_has_the_option(sweeps: Command, command: str) -> None:
    assert "--checkpoints" in sweeps(command, "--help").out


def test_weights_in_a_folder_that_was_named_before_stay_known(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(), sqlite_url, tmp_path / "first")
    query = "SELECT number, checkpoint FROM run WHERE checkpoint IS NOT NULL"
    [before] = rows(sqlite_url, query)
    run_sweep(space(), sqlite_url, tmp_path / "second")
    assert rows(sqlite_url, query) == [before]
    Path(before.checkpoint).unlink()
    run_sweep(space(), sqlite_url, tmp_path / "first")
    assert rows(sqlite_url, query) == []


def test_a_folder_that_is_away_when_the_best_changes_ends_no_sweep(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> bool:
        raise OSError("away")

    with Store(sqlite_url) as store:
        conductor = conductor_of(space(), store, tmp_path / "c")
        with monkeypatch.context() as patch:
            patch.setattr(LocalFolder, "has", away)
            CurveRunner().run(conductor)
    assert conductor.finished
    assert rows(sqlite_url, "SELECT checkpoint FROM run WHERE checkpoint IS NOT NULL") == []
    run_sweep(space(), sqlite_url, tmp_path / "c")  # the next driver finds them
    [(kept,)] = rows(sqlite_url, "SELECT checkpoint FROM run WHERE checkpoint IS NOT NULL")
    assert Path(kept).is_file()
