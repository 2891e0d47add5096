"""Metrics from files with one record a line: JSON lines and CSV."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from trainers.command.metrics.lines import LONGEST_LINE, Lines
from trainers.command.metrics.names import Names
from trainers.command.metrics.reading import Reading, Remarks, Unit
from trainers.command.metrics.records import numbers, parse_record, take_progress
from trainers.command.metrics.tail import Tail, check_pattern, matching, natural


class _LinesOfFile(ABC):
    """Reads one file line by line, from its beginning whenever it is written again."""

    def __init__(self, path: Path, name: str, remarks: Remarks) -> None:
        self._tail = Tail(path)
        self._lines = Lines()
        self._name = name
        self._remarks = remarks

    def records(self, final: bool) -> list[dict[str, int | float]]:
        """Return the numbers of each new line."""
        found = []
        for piece in self._tail.pieces():
            if piece.fresh:
                self._lines.clear()
                self.begin()
            found += [record for line in self._lines.feed(piece.data) if (record := self.parse(line))]
        if final:
            found += [record for line in self._lines.end() if (record := self.parse(line))]
            self._tail.close()
        if self._lines.too_long:
            self._remarks.add(f"{self._name}: lines of more than {LONGEST_LINE:,} bytes are left out")
        return found

    @abstractmethod
    def begin(self) -> None:
        """Prepare for the first line of a file."""

    @abstractmethod
    def parse(self, line: str) -> dict[str, int | float] | None:
        """Return the numbers of a line, or ``None`` if it has none."""


class _JsonLines(_LinesOfFile):
    def begin(self) -> None:
        """Do nothing: every line stands alone."""

    def parse(self, line: str) -> dict[str, int | float] | None:
        record = parse_record(line.strip())
        if record is None:
            self._remarks.add(f"{self._name}: lines that are not a JSON object are left out")
            return None
        return numbers(record)


class _CsvRows(_LinesOfFile):
    """The first line has the names of the columns; an empty cell has no value."""

    def __init__(self, path: Path, name: str, remarks: Remarks) -> None:
        super().__init__(path, name, remarks)
        self._columns: list[str] | None = None

    def begin(self) -> None:
        self._columns = None

    def parse(self, line: str) -> dict[str, int | float] | None:
        try:
            [cells] = csv.reader([line.lstrip("\ufeff")], strict=True)
        except (csv.Error, ValueError):
            cells = []
        if self._columns is None:
            self._columns = [cell.strip() for cell in cells]
            return None
        if len(cells) != len(self._columns):
            self._remarks.add(f"{self._name}: rows with another number of cells than the first are left out")
            return None
        return numbers({name: cell for name, cell in zip(self._columns, cells, strict=True) if name and cell.strip()})


class TableReader:
    """Reads JSON lines or the rows of CSV files in the folder of a run.

    All files that match are read, ``version_2`` before ``version_10``: a program that resumes writes another one, and
    together they have the whole training.

    Args:
        kind: ``jsonl`` or ``csv``.
        folder: Folder of the run.
        pattern: Path or pattern of the files, relative to ``folder``.
        names: Names of the metrics.
        remarks: Where what is left out is reported.
        unit: What counts in a record with both a step and an epoch; a step if ``None``.

    Raises:
        UsageError: The pattern leaves the folder.
    """

    def __init__(
        self, kind: str, folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None = None
    ) -> None:
        self._parser = {"jsonl": _JsonLines, "csv": _CsvRows}[kind]
        self._folder = folder
        self._pattern = check_pattern(pattern)
        self._names = names
        self._remarks = remarks
        self._unit = unit
        self._files: dict[str, _LinesOfFile] = {}

    def read(self, final: bool = False) -> list[Reading]:
        """Return the readings of new lines, file by file."""
        for path in matching(self._folder, self._pattern):
            if path not in self._files:
                self._files[path] = self._parser(self._folder / path, path, self._remarks)
        if final and not self._files:
            self._remarks.add(f"no file matches {self._pattern}")
        records = [one for path in sorted(self._files, key=natural) for one in self._files[path].records(final)]
        return to_readings(records, self._names, self._unit)

    def remarks(self) -> list[str]:
        """Return remarks that were not returned before."""
        return self._remarks.take()


def to_readings(records: Sequence[dict[str, int | float]], names: Names, unit: Unit | None) -> list[Reading]:
    """Return the readings of records that have values."""
    found = []
    for record in records:
        progress, kind = take_progress(record, unit)
        values = names.apply({name: float(value) for name, value in record.items()})
        if values:
            found.append(Reading(progress, kind, values))
    return found
