"""The states of the Hugging Face Trainer, and a result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trainers.command.metrics.reading import MetricReader, Reading
from trainers.command.metrics.sources import file_reader


def state(folder: Path, step: int, *entries: dict[str, object], time: int) -> Path:
    path = folder / f"out/checkpoint-{step}/trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"global_step": step, "log_history": entries}))
    os.utime(path, (time, time))
    return path


def states(folder: Path) -> MetricReader:
    return file_reader("trainer_state", "out/checkpoint-*/trainer_state.json", folder, {"eval_loss": "val/loss"})


def entry(step: int, **values: object) -> dict[str, object]:
    return {"epoch": step / 100, "step": step, **values}


def test_the_history_of_the_newest_checkpoint(tmp_path: Path) -> None:
    read = states(tmp_path)
    assert (read.read(), read.remarks()) == ([], [])
    state(tmp_path, 50, entry(50, loss=1.0), time=1)
    assert read.read() == [Reading(50, "step", {"train/epoch": 0.5, "train/loss": 1})]
    assert read.read() == []
    state(tmp_path, 100, entry(50, loss=1.0), entry(100, loss=0.9), entry(100, eval_loss=0.8), time=2)
    assert [one.values.get("val/loss") for one in read.read()] == [None, 0.8]
    state(tmp_path, 60, entry(50, loss=1.0), entry(60, loss=0.7), time=3)  # resumed from the first checkpoint
    assert [one.progress for one in read.read(final=True)] == [60]


def test_of_two_with_one_time_the_higher_counts(tmp_path: Path) -> None:
    state(tmp_path, 1000, entry(1000, loss=0.5), time=1)
    state(tmp_path, 500, entry(500, loss=1.0), time=1)
    assert [one.progress for one in states(tmp_path).read()] == [1000]


def test_half_a_file_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = state(tmp_path, 50, entry(50, loss=1.0), time=1)
    whole = path.read_text()
    path.write_text(whole[:-5])
    read = states(tmp_path)
    assert (read.read(), read.remarks()) == ([], [])
    path.write_text(whole)
    assert len(read.read()) == 1
    path.write_text(whole[:-5])
    assert read.read(final=True) == []
    assert read.remarks() == [
        "out/checkpoint-50/trainer_state.json is left out: it is not a whole trainer_state.json with a log_history"
    ]


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    read = states(tmp_path)
    assert read.read(final=True) == []
    assert read.remarks() == ["no file matches out/checkpoint-*/trainer_state.json"]


def test_a_result_is_read_at_the_end(tmp_path: Path) -> None:
    read = file_reader("file", "result.json", tmp_path, {})
    (tmp_path / "result.json").write_text('{"val": {"loss": 0.5}, "epoch": 3, "name": "x"}')
    assert read.read() == []
    assert read.read(final=True) == [Reading(3, "epoch", {"val/loss": 0.5})]


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (None, "result.json does not exist: the command must write it"),
        ("[1]", 'result.json is left out: it must be a JSON object, such as {"val/loss": 0.3}'),
        ('{"a": ', 'result.json is left out: it must be a JSON object, such as {"val/loss": 0.3}'),
        ("[" * 100_000, 'result.json is left out: it must be a JSON object, such as {"val/loss": 0.3}'),
    ],
)
def test_a_result_that_cannot_be_read(tmp_path: Path, content: str | None, remark: str) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    read = file_reader("file", "result.json", tmp_path, {})
    assert (read.read(final=True), read.remarks()) == ([], [remark])
