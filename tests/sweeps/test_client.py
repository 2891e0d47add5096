from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sweeps.client import ADDRESS, report
from trainers.command import program_reports


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
