"""Metrics from what a program prints."""

from collections.abc import Iterable

from trainers.command.metrics.lines import LONGEST_LINE, Lines
from trainers.command.metrics.names import Names
from trainers.command.metrics.reading import Reading, Remarks, Unit
from trainers.command.metrics.text import parse_line


class PrintedReader:
    """Reads the lines that a program prints; ``text.py`` has the grammar.

    Args:
        names: Names of the metrics.
        remarks: Where lines that are left out are reported.
        unit: What counts on a line with both a step and an epoch; a step if ``None``.
    """

    def __init__(self, names: Names, remarks: Remarks, unit: Unit | None = None) -> None:
        self._names = names
        self._remarks = remarks
        self._unit = unit
        self._lines = Lines()
        self._found: list[Reading] = []

    def feed(self, piece: bytes | str) -> None:
        """Add a piece of the output, cut anywhere."""
        self._parse(self._lines.feed(piece.encode("utf-8", "replace") if isinstance(piece, str) else piece))

    def read(self, final: bool = False) -> list[Reading]:
        """Return the readings of the lines that are whole now; of the last one, too, if ``final``."""
        if final:
            self._parse(self._lines.end())
        found, self._found = self._found, []
        return found

    def remarks(self) -> list[str]:
        """Return remarks that were not returned before."""
        return self._remarks.take()

    def _parse(self, lines: Iterable[str]) -> None:
        for line in lines:
            parsed = parse_line(line, self._unit)
            if parsed is None:
                continue
            progress, unit, written = parsed
            values = self._names.apply(written)
            if values or not written:
                self._found.append(Reading(progress, unit, values))
        if self._lines.too_long:
            self._remarks.add(f"printed lines of more than {LONGEST_LINE:,} bytes are left out")
