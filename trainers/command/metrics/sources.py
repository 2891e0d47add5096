"""From the source of a space file to the reader of its metrics."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from search_spaces.errors import UsageError
from trainers.command.metrics.documents import ResultReader, TrainerStateReader
from trainers.command.metrics.names import Names
from trainers.command.metrics.printed import PrintedReader
from trainers.command.metrics.reading import MetricReader, Remarks, Unit
from trainers.command.metrics.tables import TableReader

_Opener = Callable[[Path, str, Names, Remarks, Unit | None], MetricReader]


def _jsonl(folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None) -> MetricReader:
    return TableReader("jsonl", folder, pattern, names, remarks, unit)


def _csv(folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None) -> MetricReader:
    return TableReader("csv", folder, pattern, names, remarks, unit)


def _tensorboard(folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None) -> MetricReader:
    from trainers.command.metrics.tensorboard import TensorBoardReader  # loads protobuf: only where it is needed

    return TensorBoardReader(folder, pattern, names, remarks, unit)


FILE_SOURCES: Final[Mapping[str, _Opener]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "trainer_state": TrainerStateReader,
    "tensorboard": _tensorboard,
    "file": ResultReader,
}
"""Readers of files by the key of the source in a space file."""


def printed_reader(rename: Mapping[str, str], unit: Unit | None = None) -> PrintedReader:
    """Return a reader of what a program prints; its output is given to ``feed``.

    Raises:
        UsageError: A new name in ``rename`` is not a valid name of a metric.
    """
    remarks = Remarks()
    return PrintedReader(Names(rename, remarks), remarks, unit)


def file_reader(
    kind: str, pattern: str, folder: Path, rename: Mapping[str, str], unit: Unit | None = None
) -> MetricReader:
    """Return a reader of the files of a run.

    Args:
        kind: Key of ``FILE_SOURCES``.
        pattern: Path or pattern of the files, relative to ``folder``.
        folder: Folder of the run.
        rename: Names of metrics by the names that they replace.
        unit: What counts where there are both a step and an epoch; a step if ``None``.

    Raises:
        UsageError: The kind is unknown, the pattern leaves the folder, or a new name is not valid.
    """
    if kind not in FILE_SOURCES:
        raise UsageError(f"metrics are read from stdout, {', '.join(FILE_SOURCES)}; found {kind!r}")
    remarks = Remarks()
    return FILE_SOURCES[kind](folder, pattern, Names(rename, remarks), remarks, unit)
