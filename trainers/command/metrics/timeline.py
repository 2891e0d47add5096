"""Put the readings of a program in order: one value of each metric at each position."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Final

from trainers.command.metrics.reading import Reading, Unit

MOST_DIFFERENCES: Final = 1000
"""Differences that wait to be taken; the later ones are counted only."""


@dataclass(frozen=True)
class Point:
    """Values of one position that are recorded together.

    Attributes:
        position: Step or epoch, or the number of the line.
        values: Numbers by name of the metric; infinity is one, and says that the training diverged. Never NaN.
        undefined: Names of the metrics whose value was NaN at this position.
    """

    position: int
    values: dict[str, float]
    undefined: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Another value of a metric for a position that has one. The recorded one, ``old``, stays."""

    position: int
    name: str
    old: float
    new: float


class Timeline:
    """Merges readings into points.

    - Values of one position are merged until a reading has another one. Values without a position belong to the last.
    - If the program has written no position so far, each reading with values gets the next of 1, 2, 3, ...
    - The first value of a metric at a position stays. The same value again is nothing new; another one is a
      ``Difference``. A program that goes back, because it resumed, is thus compared with what it reported before.
    - A new metric at an earlier position is a point of its own, so the positions of points may go back.
    - One unit counts: ``unit``, or that of the first reading with values. A reading in the other one is like a reading
      without a position. A heading such as ``Epoch 3`` moves the position only if epochs count.
    - NaN is no value: a later number for the same position is recorded.
    """

    def __init__(self, unit: Unit | None = None) -> None:
        self.unit = unit
        self.different = 0
        """Number of values that differed from those recorded."""
        self._differences: list[Difference] = []
        self._heading: int | None = None
        self._position: int | None = None
        self._counted = 0
        self._values: dict[str, float] = {}
        self._undefined: dict[str, None] = {}
        self._recorded: dict[str, _Series] = {}

    def add(self, readings: Iterable[Reading]) -> list[Point]:
        """Add readings and return the points that they complete."""
        points: list[Point] = []
        for reading in readings:
            position = self._place(reading)
            if position is None:
                continue
            if position != self._position:
                points += self.end()
                self._position = position
            for name, value in reading.values.items():
                self._record(position, name, value)
        return points

    def end(self) -> list[Point]:
        """Return the point in progress, because the process has ended."""
        if self._position is None or not (self._values or self._undefined):
            return []
        undefined = tuple(name for name in self._undefined if name not in self._values)
        point = Point(self._position, self._values, undefined)
        self._values, self._undefined = {}, {}
        return [point]

    def differences(self) -> list[Difference]:
        """Return the differences found since the last call, the first 1,000 of them."""
        found, self._differences = self._differences, []
        return found

    def _place(self, reading: Reading) -> int | None:
        """Return the position of a reading, or ``None`` if there is nothing to record."""
        if self.unit is None and reading.values:
            if reading.progress is not None:
                self.unit = reading.unit
            elif self._heading is not None:
                self.unit = "epoch"
        if reading.progress is not None and reading.unit == (self.unit or "epoch"):
            self._heading = reading.progress
        if not reading.values:
            return None
        if self._heading is not None:
            return self._heading
        self._counted += 1
        return self._counted

    def _record(self, position: int, name: str, value: float) -> None:
        old = self._recorded.setdefault(name, _Series()).keep(position, value)
        if old is None or (isnan(old) and not isnan(value)):
            if isnan(value):
                self._undefined[name] = None
            else:
                self._values[name] = value
        elif old != value and not isnan(value):
            self.different += 1
            if len(self._differences) < MOST_DIFFERENCES:
                self._differences.append(Difference(position, name, old, value))


class _Series:
    """First values of one metric by position, 16 bytes each."""

    def __init__(self) -> None:
        self._positions = array("q")
        self._values = array("d")

    def keep(self, position: int, value: float) -> float | None:
        """Keep a value for a position without a number, and return what was there: a value, NaN or ``None``."""
        if not self._positions or position > self._positions[-1]:
            self._positions.append(position)
            self._values.append(value)
            return None
        at = bisect_left(self._positions, position)
        if self._positions[at] != position:
            self._positions.insert(at, position)
            self._values.insert(at, value)
            return None
        old = self._values[at]
        if isnan(old):
            self._values[at] = value
        return old
