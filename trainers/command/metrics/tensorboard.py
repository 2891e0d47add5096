"""Metrics from TensorBoard's event files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path, PurePath

from trainers.command.metrics.event_file import DamagedFileError, Records, Scalar, scalars
from trainers.command.metrics.names import Names
from trainers.command.metrics.reading import Reading, Remarks, Unit
from trainers.command.metrics.tail import Tail, check_pattern, matching


class TensorBoardReader:
    """Reads the scalars of all event files in a folder and its subfolders.

    What is new in several files is merged in the order of the steps. A scalar in a subfolder has its path in front of
    the tag: ``add_scalars("loss", {"train": 0.3})`` of torch writes ``loss_train/loss``.

    Args:
        folder: Folder of the run.
        pattern: Folder of the event files, relative to ``folder``, or a pattern for several, such as
            ``lightning_logs/version_*``.
        names: Names of the metrics.
        remarks: Where damaged files are reported.
        unit: What the step of a scalar counts; steps if ``None``. Keras writes epochs.

    Raises:
        UsageError: The pattern leaves the folder.
    """

    def __init__(self, folder: Path, pattern: str, names: Names, remarks: Remarks, unit: Unit | None = None) -> None:
        self._unit: Unit = unit or "step"
        self._folder = folder
        self._pattern = check_pattern(pattern)
        self._names = names
        self._remarks = remarks
        self._files: dict[str, _EventFile] = {}

    def read(self, final: bool = False) -> list[Reading]:
        """Return the new scalars, those of one step together."""
        for logs in matching(self._folder, self._pattern):
            for path in matching(self._folder / logs, "**/*tfevents*"):
                whole = str(PurePath(logs, path))
                if whole not in self._files:
                    subfolder = PurePath(path).parent.as_posix()
                    self._files[whole] = _EventFile(self._folder / whole, "" if subfolder == "." else f"{subfolder}/")
        if final and not self._files:
            self._remarks.add(f"no event file in {self._pattern}")
        found: list[Scalar] = []
        for path, file in self._files.items():
            found += file.read(final)
            if file.damage:
                self._remarks.add(f"{path}: {file.damage}; what follows is left out")
        found.sort(key=lambda scalar: scalar.step)
        return [one for step, group in groupby(found, lambda scalar: scalar.step) for one in self._merged(step, group)]

    def remarks(self) -> list[str]:
        """Return remarks that were not returned before."""
        return self._remarks.take()

    def _merged(self, step: int, found: Iterable[Scalar]) -> Iterator[Reading]:
        """Yield the scalars of a step; a second one of a name begins another reading."""
        written: dict[str, float] = {}
        for scalar in found:
            if scalar.tag in written:
                yield from self._reading(step, written)
                written = {}
            written[scalar.tag] = scalar.value
        yield from self._reading(step, written)

    def _reading(self, step: int, written: Mapping[str, float]) -> Iterator[Reading]:
        if values := self._names.apply(written):
            yield Reading(step, self._unit, values)


class _EventFile:
    """Follows one event file; ``damage`` says why it is read no further."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._tail = Tail(path)
        self._prefix = prefix
        self._records = Records()
        self.damage: str | None = None

    def read(self, final: bool) -> list[Scalar]:
        """Return the new scalars, with the path of a subfolder in front of the tags."""
        found: list[Scalar] = []
        for piece in self._tail.pieces():
            if piece.fresh:
                self._records, self.damage = Records(), None
            if self.damage is None:
                try:
                    for record in self._records.feed(piece.data):
                        found += scalars(record)
                except DamagedFileError as error:
                    self.damage = str(error)
        if final:
            self._tail.close()
        return [replace(scalar, tag=self._prefix + scalar.tag) for scalar in found] if self._prefix else found
