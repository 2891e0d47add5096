"""The table of what the runs of a sweep or an ablation have used."""

from collections.abc import Sequence

from analysis.compute import ComputeRow
from analysis.report.blocks import Block, Text, table
from analysis.wording import NONE, number, or_dash, time_text
from search_spaces.values import counted

_GIB = 2**30
_HEAD = ("runs", "starts", "run time", "CPU time", "memory")
_GPU_HEAD = ("GPU time", "GPU memory", "energy")


def compute_blocks(rows: Sequence[ComputeRow], group: str) -> tuple[Block | None, ...]:
    """Return the table of what runs have used, and the sentences about it; nothing if nothing is recorded.

    Args:
        rows: What each group has used, and all of them.
        group: Name of the first column.
    """
    if not rows:
        return ()
    gpu = any(row.gpu_hours for row in rows)
    head = (group, *_HEAD, *(_GPU_HEAD if gpu else ()), "parameters")
    return (
        table(
            "Compute of all starts, with failed, stopped and repeated ones", head, [_cells(row, gpu) for row in rows]
        ),
        Text(_sentence(rows[-1], gpu)),
    )


def _cells(row: ComputeRow, gpu: bool) -> tuple[str, ...]:
    known = (
        str(row.runs),
        str(row.starts),
        time_text(row.hours),
        time_text(row.cpu_hours),
        or_dash(row.memory, _memory),
    )
    on_gpu = (time_text(row.gpu_hours), or_dash(row.gpu_memory, _memory), or_dash(row.energy_kwh, _energy))
    return (row.group, *known, *(on_gpu if gpu else ()), _parameters(row))


def _sentence(whole: ComputeRow, gpu: bool) -> str:
    of = "of the GPUs that a run held" if gpu else "of the CPU; no run held a GPU"
    text = f"Trained on {', '.join(whole.hardware) or 'unknown hardware'} (the model {of})."
    if gpu and whole.energy_kwh is None:
        text += " The energy is unknown: NVML or a GPU does not tell it."
    if whole.unknown:
        text += f" {counted(whole.unknown, 'run')} without a record of what was used counts for nothing but a run."
    return text


def _memory(size: int) -> str:
    return f"{number(size / _GIB)} GiB"


def _energy(kwh: float) -> str:
    return f"{number(kwh)} kWh"


def _parameters(row: ComputeRow) -> str:
    if row.parameters is None:
        return NONE
    low, high = row.parameters
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
