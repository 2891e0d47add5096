from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import Recipe
from search_spaces.errors import RunError
from search_spaces.recipe.recipe import Budget
from sweeps.client import ADDRESS, as_loop, report
from trainers.command import program_reports
from trainers.loop.user_loop import UserLoopTraining


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ADDRESS, "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def test_both_ends_use_one_variable() -> None:
    assert ADDRESS == program_reports.ADDRESS


def test_outside_a_sweep_the_metrics_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"val/loss": np.float32(0.5), "val/acc": torch.tensor([2.0], requires_grad=True), "n": 3, "gone": None}
    assert report(metrics, step=np.int64(100), epoch=2) is False
    printed = {"step": 100, "epoch": 2, "val/loss": 0.5, "val/acc": 2.0, "n": 3.0, "gone": None}
    assert capsys.readouterr().out == json.dumps(printed) + "\n"


@pytest.mark.parametrize("rank", [{"RANK": "1", "LOCAL_RANK": "0"}, {"LOCAL_RANK": "2"}])
def test_only_rank_0_prints(
    rank: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in rank.items():
        monkeypatch.setenv(name, value)
    assert report({"val/loss": 1.0}, step=1) is False
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("metrics", "progress", "rule"),
    [
        ({"loss": "0.3"}, {"step": 1}, "loss must be a number or None, found str '0.3'"),
        ({"loss": True}, {"step": 1}, "loss must be a number or None, found bool True"),
        ({"loss": torch.zeros(2)}, {"step": 1}, r"loss must be one number that fits a float, found Tensor tensor\(\[0"),
        ({"loss": 10**400}, {"step": 1}, "loss must be one number that fits a float"),
        ({1: 0.3}, {"step": 1}, "the name of a metric must be a text such as 'val/loss', found int 1"),
        ({" ": 0.3}, {"step": 1}, "the name of a metric must be a text"),
        ([0.3], {"step": 1}, r"metrics must be a dict such as .*, found list \[0.3\]"),
        ({"loss": 0.3}, {"step": 1.5}, "step must be a whole number of at least 0, found float 1.5"),
        ({"loss": 0.3}, {"epoch": -1}, "epoch must be a whole number of at least 0, found int -1"),
        ({"loss": 0.3}, {}, "report needs metrics and a step or an epoch"),
        ({}, {"step": 1}, "report needs metrics and a step or an epoch"),
    ],
)
def test_what_is_wrong_is_one_line(metrics: object, progress: dict[str, int], rule: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rule) as found:
        report(metrics, **progress)  # type: ignore[arg-type]
    assert "\n" not in str(found.value)


def test_a_sweep_that_is_gone_stops_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "gone"))
    assert report({"val/loss": 1.0}, step=1) is True
    assert capsys.readouterr().err.startswith("sweeps: the sweep of this run is gone, so it should stop (")


def test_it_loads_the_standard_library_alone() -> None:
    code = "import sys, sweeps.client\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=dict(os.environ))
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    assert loaded - set(sys.stdlib_module_names) == {"sweeps"}
    assert not loaded & {"asyncio", "typing", "inspect", "dataclasses"}  # slow to load


def test_anything_with_item_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    report({"loss": SimpleNamespace(item=lambda: 0.25)}, epoch=1)
    assert json.loads(capsys.readouterr().out) == {"epoch": 1, "loss": 0.25}


class Blocking:
    """A training that blocks and reports: what it did, in order."""

    def __init__(self, epochs: int = 99) -> None:
        self.seen: list[object] = []
        self.epochs = epochs

    def train(self, config: dict[str, Any], seed: int) -> None:
        for epoch in range(1, self.epochs + 1):
            draw = torch.rand(1).item()
            self.seen.append(epoch)
            if report({"val/loss": seed / epoch, "val/draw": draw}, epoch=epoch):
                self.seen.append("stopped")
                return

    def training(self, epochs: int) -> UserLoopTraining:
        return UserLoopTraining(as_loop(self.train), Recipe(budget=Budget(epochs=epochs)), 8)


def test_a_function_that_blocks_trains_as_a_loop() -> None:
    blocking, threads = Blocking(), threading.active_count()
    training = blocking.training(epochs=4)
    reports = []
    while not training.finished:
        reports.append(training.advance(1))
        assert blocking.seen[: len(reports)] == list(range(1, len(reports) + 1))
    assert [one.metrics["val/loss"] for one in reports] == [8, 4, 8 / 3, 2]
    assert blocking.seen == [1, 2, 3, 4, "stopped"]
    assert threading.active_count() == threads

    def loop(config: dict[str, Any], seed: int, state: object = None) -> Iterator[dict[str, float]]:
        for _ in range(4):
            yield {"val/draw": torch.rand(1).item()}

    same = UserLoopTraining(loop, Recipe(budget=Budget(epochs=4)), 8)
    draws = [same.advance(1).metrics["val/draw"] for _ in range(4)]
    assert [one.metrics["val/draw"] for one in reports] == draws  # torch's generator is seeded for its epochs, too


def test_a_loop_that_is_left_ends_its_function() -> None:
    blocking = Blocking()
    training = blocking.training(epochs=4)
    training.advance(1)
    del training
    assert blocking.seen == [1, "stopped"]


def test_a_function_that_ignores_the_end_is_ended_by_its_next_report() -> None:
    seen: list[str] = []

    def train(config: dict[str, Any], seed: int) -> None:
        for _ in range(99):
            try:
                report({"val/loss": 1.0}, step=1)
            except RuntimeError as error:
                seen.append(str(error))
                raise

    loop = as_loop(train)({}, 0)
    next(loop)
    loop.close()  # type: ignore[attr-defined]
    assert seen == ["report has returned True before: the training must return then"]


def test_what_a_function_raises_is_raised_by_its_loop() -> None:
    def train(config: dict[str, Any], seed: int) -> None:
        report({"val/loss": 1.0}, epoch=1)
        raise SystemExit(config["code"])

    loop = as_loop(train)({"code": 3}, 0)
    assert next(loop) == {"val/loss": 1.0}
    with pytest.raises(SystemExit, match="3"):
        next(loop)


def test_a_function_reports_every_epoch_once() -> None:
    loop = as_loop(lambda config, seed: report({"val/loss": 1.0}, epoch=2))({}, 0)
    with pytest.raises(ValueError, match="epoch must be 1, found 2"):
        next(loop)
    training = Blocking(2).training(epochs=3)
    training.advance(1)
    training.advance(1)
    with pytest.raises(RunError, match="returned after 2 of 3 epochs"):
        training.advance(1)


def test_a_function_in_steps_reports_its_steps() -> None:
    def train(config: dict[str, Any], seed: int) -> None:
        for step in range(config["budget"]["report_every"], config["budget"]["steps"] + 1, 2):
            report({"val/loss": 1 / step}, step=step)

    training = UserLoopTraining(as_loop(train), Recipe(budget=Budget(steps=6, report_every=2)), 0)
    found = []
    while not training.finished:
        found.append(training.advance(1).epoch)
    assert found == [2, 4, 6]
