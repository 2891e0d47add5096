"""Watch the first seconds of a command."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import REPORT, STDOUT, CommandTask
from trainers.command.metrics.reading import MetricReader, Reading
from trainers.command.metrics.sources import file_reader, printed_reader
from trainers.command.process import CommandProcess
from trainers.command.program_reports import ADDRESS, ProgramReports
from trainers.command.start import CommandStart

_WAIT_S = 0.1
_LAST_LINES = 20


@dataclass(frozen=True)
class Observation:
    """The first seconds of a command.

    Attributes:
        readings: What it reported.
        times: Seconds from the start to each reading.
        seconds: Seconds that it was watched.
        code: Exit code, or minus the number of the signal that ended it; None if it was stopped.
        last_lines: Last lines that it printed.
    """

    readings: tuple[Reading, ...]
    times: tuple[float, ...]
    seconds: float
    code: int | None
    last_lines: tuple[str, ...]


def observe(
    task: CommandTask,
    start: CommandStart,
    budget: Budget,
    limit_s: float,
    enough: Callable[[tuple[Reading, ...]], bool],
) -> Observation:
    """Start a command, and stop it when its readings are enough or the time is up.

    Args:
        task: The command.
        start: Start of its program.
        budget: Length of a run; its unit is that of the readings.
        limit_s: Most seconds to watch it.
        enough: Whether these readings are enough.
    """
    kind, path = task.source
    printed = printed_reader(task.rename, budget.unit) if kind == STDOUT else None
    reader: MetricReader | None = printed
    if kind not in (STDOUT, REPORT):
        reader = file_reader(kind, path, start.outputs, task.rename, budget.unit)
    readings: tuple[Reading, ...] = ()
    times: tuple[float, ...] = ()
    text, code, began = b"", None, time.perf_counter()
    with _started(task, start, budget) as (process, program):
        while code is None and time.perf_counter() - began < limit_s and not enough(readings):
            piece = process.output(_WAIT_S, program.sources)
            text = (text + piece)[-1 << 16 :]
            if printed is not None:
                printed.feed(piece)
            ended = process.ended
            found = [] if reader is None else reader.read(final=ended)
            readings += tuple(one for one in (*found, *program.readings()) if one.values)
            times += (time.perf_counter() - began,) * (len(readings) - len(times))
            code = process.code() if ended else None
            program.answer(stop=enough(readings))
    if reader is not None:
        reader.read(final=True)  # closes its files
    lines = tuple(text.decode(errors="replace").splitlines()[-_LAST_LINES:])
    return Observation(readings, times, time.perf_counter() - began, code, lines)


@contextmanager
def _started(task: CommandTask, start: CommandStart, budget: Budget) -> Iterator[tuple[CommandProcess, ProgramReports]]:
    """Yield a command that was started and what it reports; stop it at the end."""
    program = ProgramReports(task.rename, budget.unit)
    try:
        environment = {**start.environment, ADDRESS: program.path}
        process = CommandProcess(start.words, environment, start.folder, task.grace_s)
        try:
            yield process, program
        finally:
            program.answer(stop=True)  # otherwise a program that handles SIGTERM would wait for its answer
            for _ in process.stop():  # it stops while its last output is read
                pass
    finally:
        program.close()
