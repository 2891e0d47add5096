"""Train a run with a command, behind the interface of a training."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from search_spaces.errors import CheckpointError, RunError
from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import REPORT, STDOUT, CommandTask
from trainers.command.metrics.lines import Lines
from trainers.command.metrics.reading import MetricReader
from trainers.command.metrics.sources import file_reader, printed_reader
from trainers.command.metrics.timeline import Point, Timeline
from trainers.command.process import CommandProcess
from trainers.command.program_reports import ADDRESS, ProgramReports
from trainers.command.start import CommandStart
from trainers.command.transcript import opening, stopped
from trainers.reports import EpochReport
from trainers.user_code import exit_cause

_WAIT_S = 0.2  # for output, before files are looked at again
_SLICE_S = 0.5  # a call returns at the latest after this, so that the driver hears from the run
_LAST_LINES = 20
_MOST_UNHEARD = (
    2  # reports of a program after the last one that is recorded, such as a final test; then it gets SIGTERM
)


class CommandTraining:
    """A run of a command. An epoch is a point of its output: the values of one step or epoch.

    The program keeps its own state in the folder of the run; a run that was interrupted starts the program again.

    Args:
        task: The command.
        start: Start of its program.
        budget: Length of a full run.
        recorded: Steps or epochs that are recorded already.
        keep: Takes what the program prints, between a line with the command and one that says how it ended.
    """

    def __init__(
        self,
        task: CommandTask,
        start: CommandStart,
        budget: Budget,
        recorded: int = 0,
        keep: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._epoch = self._recorded = recorded
        kind, path = task.source
        self._printed = printed_reader(task.rename, budget.unit) if kind == STDOUT else None
        self._reader: MetricReader | None = self._printed
        if kind not in (STDOUT, REPORT):
            self._reader = file_reader(kind, path, start.outputs, task.rename, budget.unit)
        self._timeline = Timeline(budget.unit)
        self._waiting: deque[EpochReport] = deque()
        self._since = time.perf_counter()
        self._code: int | None = None  # of a program that ended by itself
        self._closed = False
        self._lines = Lines()
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._grace_s = task.grace_s
        self._keep = keep
        self._in_line = False  # whether the last line of the program has not ended yet
        self._say(opening(start.words, start.environment, task.reads_environment))
        self._program = ProgramReports(task.rename, budget.unit)
        try:
            environment = {**start.environment, ADDRESS: self._program.path}
            self._process = CommandProcess(start.words, environment, start.folder, task.grace_s)
        except OSError:
            self._program.close()
            raise

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

    @property
    def parameters(self) -> int | None:
        """None, since the model of a command is unknown."""
        return None

    @property
    def reports_all(self) -> bool:
        """False, since a command may report a metric only now and then."""
        return False

    def advance(self, steps: int) -> EpochReport | None:
        """Return the next point of the output, or None if there is none within half a second.

        A program that reports points itself is told that they are recorded by the call after the last of them.

        Raises:
            RunError: The program ended with an error.
        """
        began = time.perf_counter()
        while not self._waiting and self._code is None and time.perf_counter() - began < _SLICE_S:
            self._program.answer(stop=False)  # whatever was reported is recorded by now
            self._read()
        if self._waiting:
            report = self._waiting.popleft()
            self._epoch = max(self._epoch, report.epoch)
            return replace(report, awaited=bool(self._program.unanswered) and not self._waiting)
        if self._code:
            raise RunError(self._failure(self._code))
        return None

    def _read(self) -> None:
        piece = self._process.output(_WAIT_S, self._program.sources)
        reported = self._program.readings()
        if reported:
            piece += self._process.output(0.0)  # what was printed before comes before
        self._pass_on(piece)
        self._last_lines += self._lines.feed(piece)
        if self._printed is not None:
            self._printed.feed(piece)
        ended = self._process.ended
        points = [] if self._reader is None else self._timeline.add(self._reader.read(final=ended))
        points += self._timeline.add(reported)
        if reported or ended:
            points += self._timeline.end()
        if ended:
            self._last_lines += self._lines.end()
            self._code = self._process.code()
            self._end_with(exit_cause(self._code))
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
        # Cause and last words are one line at the end, as in a traceback: summaries and reports show only that line.
        words = next((line.strip() for line in reversed(self._last_lines) if line.strip()), None)
        end = f"the command ended: {exit_cause(code)}" + (f"; its last line: {words}" if words else "")
        return "\n".join([*self._last_lines, end])

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
        """Stop the program and everything that it has started; one that reports may save and end by itself before."""
        if self._closed:
            return
        self._closed, began = True, time.perf_counter()
        try:
            if self._program.connected:
                self._let_end()
        finally:
            for piece in self._process.stop():
                self._pass_on(piece)
            self._program.close()
        if self._code is None:
            self._end_with(stopped(self._process.code(), time.perf_counter() - began))
            if self._reader is not None:
                self._reader.read(final=True)  # closes its files

    def _let_end(self) -> None:
        """Tell a program that reports to stop, and wait until it has ended or its grace period is over."""
        deadline = time.monotonic() + self._grace_s
        while not self._process.ended and self._program.unanswered <= _MOST_UNHEARD:
            self._program.answer(stop=True)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            self._pass_on(self._process.output(left_s, self._program.sources))
            self._program.readings()

    def _pass_on(self, piece: bytes) -> None:
        if piece:
            self._keep(piece)
            self._in_line = not piece.endswith(b"\n")

    def _end_with(self, line: str) -> None:
        self._say(f"\n{line}" if self._in_line else line)

    def _say(self, line: str) -> None:
        self._keep(f"{line}\n".encode(errors="backslashreplace"))
