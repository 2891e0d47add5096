"""Metrics from files that are written as a whole: the states of the Hugging Face Trainer, and a result."""

import json
import stat
from pathlib import Path

from trainers.command.metrics.names import Names
from trainers.command.metrics.reading import Reading, Remarks, Unit
from trainers.command.metrics.records import numbers
from trainers.command.metrics.tables import to_readings
from trainers.command.metrics.tail import check_pattern, matching, natural

_Stamp = tuple[int, int, int]


class TrainerStateReader:
    """Reads ``log_history`` of the newest ``trainer_state.json`` that matches.

    Each checkpoint has the whole history, so only one is read: the one that was written last, and of two with the same
    time the one with the higher number. Entries that were returned before are not returned again. A file that is being
    written is read the next time.

    Args:
        folder: Folder of the run.
        pattern: Path or pattern of the files, such as ``out/checkpoint-*/trainer_state.json``.
        names: Names of the metrics.
        remarks: Where a file that cannot be read is reported.
        unit: What counts in an entry with both a step and an epoch; a step if ``None``.

    Raises:
        UsageError: The pattern leaves the folder.
    """

    def __init__(self, folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None = None) -> None:
        self._folder = folder
        self._pattern = check_pattern(pattern)
        self._names = names
        self._remarks = remarks
        self._unit = unit
        self._stamp: tuple[str, _Stamp] | None = None
        self._history: list[object] = []

    def read(self, final: bool = False) -> list[Reading]:
        """Return the readings of new entries."""
        stamps = {path: one for path in matching(self._folder, self._pattern) if (one := _stamp(self._folder / path))}
        if not stamps:
            if final:
                self._remarks.add(f"no file matches {self._pattern}")
            return []
        newest = max(stamps, key=lambda path: (stamps[path][0], natural(path)))
        if self._stamp == (newest, stamps[newest]):
            return []
        state = _parse_json(self._folder / newest)
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list):
            if final:
                self._remarks.add(f"{newest} is left out: it is not a whole trainer_state.json with a log_history")
            return []
        self._stamp = (newest, stamps[newest])
        same = next((at for at, (old, new) in enumerate(zip(self._history, history, strict=False)) if old != new), None)
        begin = min(len(self._history), len(history)) if same is None else same
        self._history = history
        return to_readings(
            [numbers(entry) for entry in history[begin:] if isinstance(entry, dict)], self._names, self._unit
        )

    def remarks(self) -> list[str]:
        """Return remarks that were not returned before."""
        return self._remarks.take()


class ResultReader:
    """Reads a JSON object when the process has ended.

    Args:
        folder: Folder of the run.
        path: Path of the file, relative to ``folder``.
        names: Names of the metrics.
        remarks: Where a file that cannot be read is reported.
        unit: What counts in an object with both a step and an epoch; a step if ``None``.

    Raises:
        UsageError: The path leaves the folder.
    """

    def __init__(self, folder: Path, path: str, names: Names, remarks: Remarks, unit: Unit | None = None) -> None:
        self._folder = folder
        self._path = check_pattern(path)
        self._names = names
        self._remarks = remarks
        self._unit = unit

    def read(self, final: bool = False) -> list[Reading]:
        """Return the reading of the object, once ``final``."""
        if not final:
            return []
        if _stamp(self._folder / self._path) is None:
            self._remarks.add(f"{self._path} does not exist: the command must write it")
            return []
        result = _parse_json(self._folder / self._path)
        if not isinstance(result, dict):
            self._remarks.add(f'{self._path} is left out: it must be a JSON object, such as {{"val/loss": 0.3}}')
            return []
        return to_readings([numbers(result)], self._names, self._unit)

    def remarks(self) -> list[str]:
        """Return remarks that were not returned before."""
        return self._remarks.take()


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when a file is written, or ``None`` if it is not a regular file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _parse_json(path: Path) -> object:
    """Return the value of a JSON file, or ``None`` if it is not whole."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
