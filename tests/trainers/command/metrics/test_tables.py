"""JSON lines and CSV files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from search_spaces.errors import UsageError
from trainers.command.metrics.reading import MetricReader, Reading
from trainers.command.metrics.sources import file_reader
from trainers.command.metrics.timeline import Point, Timeline


def reader(kind: str, pattern: str, folder: Path) -> MetricReader:
    return file_reader(kind, pattern, folder, {"val_loss": "val/loss"})


def test_json_lines(tmp_path: Path) -> None:
    path, read = tmp_path / "log.jsonl", reader("jsonl", "log.jsonl", tmp_path)
    assert read.read() == []
    path.write_text('{"step": 1, "loss": 0.5, "val": {"acc": 0.1}}\n{"step": 2, "lo')
    assert read.read() == [Reading(1, "step", {"train/loss": 0.5, "val/acc": 0.1})]
    path.write_text(path.read_text() + 'ss": 0.4}\nnoise\n[1]\n{"note": "x"}\n{"val_loss": 1, "epoch": 2}')
    assert read.read() == [Reading(2, "step", {"train/loss": 0.4})]
    assert read.read(final=True) == [Reading(2, "epoch", {"val/loss": 1})]
    assert read.remarks() == ["log.jsonl: lines that are not a JSON object are left out"]


def test_half_a_line_of_a_replaced_file_is_forgotten(tmp_path: Path) -> None:
    path, read = tmp_path / "log.jsonl", reader("jsonl", "*.jsonl", tmp_path)
    path.write_text('{"loss": 1')
    assert read.read() == []
    path.write_text('{"loss": 2}\n')
    assert read.read() == [Reading(None, "step", {"train/loss": 2})]
    assert read.read(final=True) == []


class CsvLogger:
    """Writes as the one of Lightning: sparse rows, and the whole file again when a column is new."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self.columns = path, list[dict[str, float]](), list[str]()

    def log(self, **row: float) -> None:
        self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        self.columns += new
        with self.path.open("w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if new:
                writer.writeheader()
            writer.writerows(self.rows if new else [row])


def test_a_csv_file_that_gets_columns(tmp_path: Path) -> None:
    (tmp_path / "logs/version_0").mkdir(parents=True)
    logger, read = CsvLogger(tmp_path / "logs/version_0/metrics.csv"), reader("csv", "logs/*/metrics.csv", tmp_path)
    timeline = Timeline()
    logger.log(epoch=0, step=9, train_loss=0.9)
    first = read.read()
    assert first == [Reading(9, "step", {"train/epoch": 0, "train/loss": 0.9})]
    found = timeline.add(first)
    logger.log(epoch=0, step=19, train_loss=0.8)
    found += timeline.add(read.read())
    logger.log(epoch=0, step=19, val_loss=0.7)
    again = read.read()
    assert len(again) == 3
    found += timeline.add(again)
    logger.log(epoch=1, step=29, train_loss=0.6)
    found += timeline.add(read.read(final=True)) + timeline.end()
    assert found == [
        Point(9, {"train/epoch": 0, "train/loss": 0.9}, ()),
        Point(19, {"train/epoch": 0, "train/loss": 0.8}, ()),
        Point(19, {"val/loss": 0.7}, ()),
        Point(29, {"train/epoch": 1, "train/loss": 0.6}, ()),
    ]
    assert timeline.different == 0


def test_epochs_count_if_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("epoch,step,val/loss\n0,10,1\n1,20,\n1,20,0.5\n")
    read = file_reader("csv", "m.csv", tmp_path, {}, "epoch")
    timeline = Timeline("epoch")
    found = timeline.add(read.read(final=True)) + timeline.end()
    assert [(point.position, point.values["val/loss"]) for point in found] == [(0, 1), (1, 0.5)]


def test_files_are_merged_in_natural_order(tmp_path: Path) -> None:
    for version in (10, 2):
        (tmp_path / f"v{version}.csv").write_text(f"\ufeffstep, x ,name\n{version},{version},'a'\n\n")
    assert [one.progress for one in reader("csv", "v*.csv", tmp_path).read(final=True)] == [2, 10]


def test_a_row_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('step,x\n1,2,3\n"2,4\n3,nan\n4,5')
    read = reader("csv", "m.csv", tmp_path)
    [undefined] = read.read()
    assert repr(undefined) == "Reading(progress=3, unit='step', values={'train/x': nan})"
    assert read.read(final=True) == [Reading(4, "step", {"train/x": 5})]
    assert read.remarks() == ["m.csv: rows with another number of cells than the first are left out"]


def test_a_file_that_never_appears_is_said(tmp_path: Path) -> None:
    read = reader("csv", "*.csv", tmp_path)
    assert (read.read(), read.remarks()) == ([], [])
    assert (read.read(final=True), read.remarks()) == ([], ["no file matches *.csv"])


def test_a_source_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="read from stdout, jsonl, csv, trainer_state, tensorboard, file; found 'xml'"):
        reader("xml", "x", tmp_path)
    with pytest.raises(UsageError, match="inside the folder"):
        reader("csv", "../x", tmp_path)
