"""Train a run with a command, behind the interface of a training."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.errors import CheckpointError, RunError
from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import STDOUT, CommandTask
from trainers.command.metrics.lines import Lines
from trainers.command.metrics.reading import MetricReader
from trainers.command.metrics.sources import file_reader, printed_reader
from trainers.command.metrics.timeline import Point, Timeline
from trainers.command.process import CommandProcess
from trainers.command.start import CommandStart
from trainers.reports import EpochReport
from trainers.user_code import exit_cause

_WAIT_S = 0.2  # for output, before files are looked at again
_SLICE_S = 0.5  # a call returns at the latest after this, so that the driver hears from the run
_LAST_LINES = 20


class CommandTraining:
    """A run of a command. An epoch is a point of its output: the values of one step or epoch.

    The program keeps its own state in the folder of the run; a run that was interrupted starts the program again.

    Args:
        task: The command.
        start: Start of its program.
        budget: Length of a full run.
        recorded: Steps or epochs that are recorded already.
    """

    def __init__(self, task: CommandTask, start: CommandStart, budget: Budget, recorded: int = 0) -> None:
        self._epoch = self._recorded = recorded
        self._length = budget.length
        kind, path = task.source
        self._printed = printed_reader(task.rename, budget.unit) if kind == STDOUT else None
        self._reader: MetricReader = self._printed or file_reader(kind, path, start.outputs, task.rename, budget.unit)
        self._timeline = Timeline(budget.unit)
        self._waiting: deque[EpochReport] = deque()
        self._since = time.perf_counter()
        self._code: int | None = None
        self._lines = Lines()
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = CommandProcess(start.words, start.environment, start.folder, task.grace_s)

    @property
    def epoch(self) -> int:
        """Last step or epoch that was reported."""
        return self._epoch

    @property
    def step(self) -> int:
        """Always 0: a command reports no position within an epoch."""
        return 0

    @property
    def finished(self) -> bool:
        """Whether the program has ended without an error and everything is reported."""
        return self._code == 0 and not self._waiting

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Empty, since the start of a command's training is unknown."""
        return {}

    def advance(self, steps: int) -> EpochReport | None:
        """Return the next point of the output, or None if there is none within half a second.

        Raises:
            RunError: The program ended with an error.
        """
        began = time.perf_counter()
        while not self._waiting and self._code is None and time.perf_counter() - began < _SLICE_S:
            self._read()
        if self._waiting:
            report = self._waiting.popleft()
            self._epoch = max(self._epoch, report.epoch)
            return report
        if self._code:
            raise RunError(self._failure(self._code))
        return None

    def _read(self) -> None:
        piece = self._process.output(_WAIT_S)
        self._last_lines += self._lines.feed(piece)
        if self._printed is not None:
            self._printed.feed(piece)
        points: list[Point] = []
        if self._process.ended:
            code = self._process.code()
            points = [*self._timeline.add(self._reader.read(final=True)), *self._timeline.end()]
            self._last_lines += self._lines.end()
            self._code = code
        else:
            points = self._timeline.add(self._reader.read())
        self._waiting += self._reports(points)

    def _reports(self, points: Iterable[Point]) -> Iterable[EpochReport]:
        """Yield a report for each point; the time since the last one that is not late belongs to it."""
        newest = max([self._epoch, *(report.epoch for report in self._waiting)])
        first = self._recorded + 1 if self._recorded else 0  # many programs count from 0, which the budget does not
        for point in points:
            metrics = {**point.values, **dict.fromkeys(point.undefined, float("nan"))}
            if point.position <= newest:
                yield EpochReport(point.position, metrics, 0.0, late=point.position >= first)
            else:
                now = time.perf_counter()
                yield EpochReport(point.position, metrics, now - self._since)
                newest, self._since = point.position, now

    def _failure(self, code: int) -> str:
        lines = "\n".join(self._last_lines)
        return f"the command ended with {exit_cause(code)}" + (f"; its last lines:\n{lines}" if lines else "")

    def state_dict(self) -> dict[str, Any] | None:
        """Return None: the program keeps its own state."""
        return None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raise an error, since there is no state.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError("a command keeps its own state")

    def close(self) -> None:
        """Stop the program and everything that it has started."""
        self._process.stop()
        if self._code is None:
            self._reader.read(final=True)  # closes its files
