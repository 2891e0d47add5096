"""What a reader of metrics returns, and what every reader can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Unit = Literal["step", "epoch"]


@dataclass(frozen=True)
class Reading:
    """Values that a program reported together: one line, one row or one record.

    Attributes:
        progress: Step or epoch that the program wrote beside the values, or ``None`` if it wrote none.
        unit: What ``progress`` counts; meaningless if that is ``None``.
        values: Numbers by name of the metric. NaN is a value that the program called undefined (NaN, null, None).
    """

    progress: int | None
    unit: Unit
    values: Mapping[str, float]


class MetricReader(Protocol):
    """Reads the metrics of one process, in the order in which the program wrote them.

    It is called every fraction of a second while the process runs. It never raises an exception because of what the
    program wrote: what cannot be read is left out and stated in a remark.
    """

    def read(self, final: bool = False) -> list[Reading]:
        """Return what is new since the last call.

        Args:
            final: Whether the process has ended. A last line without a newline is then complete, and files are closed.
        """

    def remarks(self) -> list[str]:
        """Return what the user should know, a line each, and each line only once."""


class Remarks:
    """Collects lines for the user, each of which is returned only once."""

    def __init__(self) -> None:
        self._said: dict[str, bool] = {}

    def add(self, remark: str) -> None:
        """Keep a line unless it was added before."""
        self._said.setdefault(remark, False)

    def take(self) -> list[str]:
        """Return the lines that were not returned before."""
        new = [remark for remark, taken in self._said.items() if not taken]
        self._said.update(dict.fromkeys(new, True))
        return new
