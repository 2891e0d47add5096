"""What the runs of a sweep or an ablation have used: GPU and CPU hours, memory, parameters, energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot

ALL = "all"
_GPU_MEMORY = "train/peak_memory"
_HOUR_S = 3600.0


@dataclass(frozen=True)
class ComputeRow:
    """What a group of runs has used. Every start of a run counts, also one that failed or was repeated.

    Attributes:
        group: Arm and design, state of the runs, or `all`.
        runs: Number of runs.
        unknown: Number of these without a record, such as those of an earlier release; they count for nothing else.
        starts: Number of starts.
        hardware: Models of the GPUs, or of the CPUs of runs without one.
        hours: Wall time.
        gpu_hours: Wall time multiplied by the GPUs that a run held.
        cpu_hours: CPU time.
        memory: Largest main memory of a run in bytes; None if it is unknown.
        gpu_memory: Largest memory that torch held on a GPU in bytes; None if it is unknown.
        parameters: Smallest and largest number of parameters of a model; None if it is unknown.
        energy_kwh: Energy of the GPUs in kilowatt hours; None if it is unknown for a start.
    """

    group: str
    runs: int
    unknown: int
    starts: int
    hardware: tuple[str, ...]
    hours: float
    gpu_hours: float
    cpu_hours: float
    memory: int | None
    gpu_memory: int | None
    parameters: tuple[int, int] | None
    energy_kwh: float | None


def compute_rows(
    groups: Mapping[str, Sequence[RunRecord] | Sequence[RunSnapshot]], usage: pd.DataFrame, epochs: pd.DataFrame
) -> tuple[ComputeRow, ...]:
    """Return one row per group with a run, and one for all of them; none if nothing is recorded.

    Args:
        groups: Name -> runs; no run is in two of them.
        usage: The frame of `analysis.load.usage_frame`.
        epochs: The frame of `analysis.load.epochs_frame`.
    """
    if usage.empty:
        return ()
    on_gpu = epochs[epochs["name"] == _GPU_MEMORY].groupby("number")["value"].max()
    members = {name: [run.number for run in runs] for name, runs in groups.items() if runs}
    rows = [_row(name, numbers, usage, on_gpu) for name, numbers in members.items()]
    every = [number for numbers in members.values() for number in numbers]
    return (*rows, _row(ALL, every, usage, on_gpu))


def joined_rows(tasks: Mapping[str, Sequence[ComputeRow]]) -> tuple[ComputeRow, ...]:
    """Return one row for all runs of each task, and one for all tasks; none if nothing is recorded.

    Args:
        tasks: Name -> rows of `compute_rows`.
    """
    rows = [replace(found[-1], group=task) for task, found in tasks.items() if found]
    return (*rows, _joined(rows)) if rows else ()


def _joined(rows: Sequence[ComputeRow]) -> ComputeRow:
    parameters = [size for row in rows if row.parameters is not None for size in row.parameters]
    energy = [row.energy_kwh for row in rows]
    known = [kwh for kwh in energy if kwh is not None]
    return ComputeRow(
        group=ALL,
        runs=sum(row.runs for row in rows),
        unknown=sum(row.unknown for row in rows),
        starts=sum(row.starts for row in rows),
        hardware=tuple(sorted({one for row in rows for one in row.hardware})),
        hours=sum(row.hours for row in rows),
        gpu_hours=sum(row.gpu_hours for row in rows),
        cpu_hours=sum(row.cpu_hours for row in rows),
        memory=max((row.memory for row in rows if row.memory is not None), default=None),
        gpu_memory=max((row.gpu_memory for row in rows if row.gpu_memory is not None), default=None),
        parameters=(min(parameters), max(parameters)) if parameters else None,
        energy_kwh=sum(known) if len(known) == len(energy) else None,
    )


def _row(group: str, numbers: Sequence[int], usage: pd.DataFrame, on_gpu: "pd.Series[float]") -> ComputeRow:
    found = usage[usage["number"].isin(numbers)]
    parameters, energy = found["parameters"].dropna(), found["energy_j"]
    gpu_memory = on_gpu[on_gpu.index.isin(numbers)].dropna()
    return ComputeRow(
        group=group,
        runs=len(numbers),
        unknown=len(set(numbers) - set(found["number"])),
        starts=len(found),
        hardware=tuple(sorted(set(found["hardware"]))),
        hours=float(found["seconds"].sum()) / _HOUR_S,
        gpu_hours=float((found["seconds"] * found["gpus"]).sum()) / _HOUR_S,
        cpu_hours=float(found["cpu_seconds"].sum()) / _HOUR_S,
        memory=_largest(found["peak_memory"]),
        gpu_memory=_largest(gpu_memory),
        parameters=(int(parameters.min()), int(parameters.max())) if len(parameters) else None,
        energy_kwh=float(energy.sum()) / 3.6e6 if len(found) and energy.notna().all() else None,
    )


def _largest(values: "pd.Series[Any]") -> int | None:
    return int(values.max()) if len(values) else None
