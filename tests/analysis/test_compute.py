from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.compute import compute_rows
from analysis.report.blocks import Table, Text
from analysis.report.compute import compute_blocks
from sweeps.run_state import RunState
from tests.fakes import snapshot_of

COLUMNS = ["number", "attempt", "hardware", "gpus", "seconds", "cpu_seconds", "peak_memory", "parameters", "energy_j"]
GPU, CPU = "NVIDIA A", "a CPU"
EPOCHS = pd.DataFrame(
    [(0, "train/peak_memory", 2.0**30), (0, "train/peak_memory", 2.0**31), (1, "val/nll", 9.0)],
    columns=["number", "name", "value"],
)


def frame(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_every_start_counts_and_groups_add_up() -> None:
    usage = frame(
        (0, 1, GPU, 0.5, 3600.0, 7200.0, 2**30, 1000, 3.6e6),
        (0, 2, GPU, 0.5, 1800.0, 3600.0, 2**31, 1000, 1.8e6),  # its second start
        (1, 1, GPU, 1.0, 3600.0, 3600.0, 2**29, 2000, 3.6e6),
    )
    runs = [snapshot_of(number) for number in range(3)]
    complete, failed, whole = compute_rows({"complete": runs[:1], "failed": runs[1:], "none": []}, usage, EPOCHS)
    assert (complete.group, complete.runs, complete.starts, complete.unknown) == ("complete", 1, 2, 0)
    assert (complete.hours, complete.gpu_hours, complete.cpu_hours) == (1.5, 0.75, 3.0)
    assert (complete.memory, complete.gpu_memory, complete.parameters) == (2**31, 2**31, (1000, 1000))
    assert complete.energy_kwh == pytest.approx(1.5)
    assert (failed.runs, failed.starts, failed.unknown, failed.gpu_memory) == (2, 1, 1, None)
    assert (whole.group, whole.runs, whole.starts, whole.unknown) == ("all", 3, 3, 1)
    assert whole.gpu_hours == complete.gpu_hours + failed.gpu_hours == 1.75
    assert whole.cpu_hours == complete.cpu_hours + failed.cpu_hours == 4.0
    assert whole.energy_kwh == pytest.approx(2.5)
    assert whole.parameters == (1000, 2000)


def test_energy_that_one_start_does_not_know_is_unknown_for_all() -> None:
    usage = frame((0, 1, GPU, 1.0, 1.0, 1.0, 1, None, 5.0), (1, 1, GPU, 1.0, 1.0, 1.0, 1, None, math.nan))
    first, second, whole = compute_rows({"a": [snapshot_of(0)], "b": [snapshot_of(1)]}, usage, EPOCHS)
    assert first.energy_kwh is not None
    assert (second.energy_kwh, whole.energy_kwh, whole.parameters) == (None, None, None)
    assert "The energy is unknown" in text_of((first, second, whole))


def text_of(rows: tuple[object, ...]) -> str:
    [_, text] = compute_blocks(rows, "state")  # type: ignore[arg-type]
    assert isinstance(text, Text)
    return text.text


def test_the_table_of_runs_on_cpus_has_no_columns_about_gpus() -> None:
    usage = frame((0, 1, CPU, 0.0, 30.0, 45.0, 2**29, 8010, None))
    rows = compute_rows({"complete": [snapshot_of(0)]}, usage, EPOCHS)
    [table, text] = compute_blocks(rows, "state")
    assert isinstance(table, Table)
    assert table.head == ("state", "runs", "starts", "run time", "CPU time", "memory", "parameters")
    assert table.rows[0] == ("complete", "1", "1", "30 s", "45 s", "0.5 GiB", "8,010")
    assert isinstance(text, Text)
    assert text.text == "Trained on a CPU (the model of the CPU; no run held a GPU)."


def test_the_table_of_runs_on_gpus() -> None:
    usage = frame((0, 1, GPU, 0.5, 7200.0, 360.0, 2**30, 10, 3.6e5))
    rows = compute_rows({"ema, matched": [snapshot_of(0, RunState.FAILED)]}, usage, EPOCHS)
    [table, text] = compute_blocks(rows, "arm and design")
    assert isinstance(table, Table)
    assert table.head[6:] == ("GPU time", "GPU memory", "energy", "parameters")
    assert table.rows[-1] == ("all", "1", "1", "2 h", "6 min", "1 GiB", "60 min", "2 GiB", "0.1 kWh", "10")
    assert isinstance(text, Text)
    assert text.text == "Trained on NVIDIA A (the model of the GPUs that a run held)."


def test_nothing_is_said_where_nothing_is_recorded() -> None:
    assert compute_blocks(compute_rows({"complete": [snapshot_of(0)]}, frame(), EPOCHS), "state") == ()
