"""The progress of a sweep while it runs: a live panel in a terminal, lines of text elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search_spaces import SpaceSpec
from search_spaces.values import counted
from sweeps.engine.conductor import Conductor
from sweeps.engine.failures import warnings
from sweeps.engine.progress import Progress
from sweeps.listener import Listener
from sweeps.run_state import RunState
from sweeps.store.writer import Writer
from sweeps.study.snapshot import RunSnapshot

PLAIN_EVERY_S = 2.0
LIVE_PER_S = 4
_SOON_S, _LATER_S, _MOST_SOON = 10.0, 60.0, 6


class Pace:
    """Estimates the time left from the runs that have finished; between two ends of runs it counts down.

    Args:
        conductor: Conductor of the sweep; runs that it found finished do not count.
        clock: Returns the current time in seconds.
    """

    def __init__(self, conductor: Conductor, clock: Callable[[], float] = time.monotonic) -> None:
        self._conductor = conductor
        self._clock = clock
        self._before = self._finished = sum(run.state.finished for run in conductor.runs)
        self._end: float | None = None  # estimated at the last end of a run

    def eta_s(self) -> float | None:
        """Return the seconds left if the remaining runs take as long as those of this driver; None before the first."""
        began, now = self._conductor.first_report_at, self._clock()
        finished = sum(run.state.finished for run in list(self._conductor.runs))
        if began is not None and finished != self._finished:
            self._finished = finished
            left = self._conductor.plan.total - finished
            self._end = now + (now - began) / (finished - self._before) * left
        return None if self._end is None else max(0.0, self._end - now)


@dataclass(frozen=True)
class Printed:
    """The last line that was printed where there is no terminal.

    Attributes:
        news: What a reader waits for: the states of the runs, the best value, remarks.
        at: Time in seconds.
        repeats: Number of lines since the news changed.
    """

    news: tuple[object, ...] = ()
    at: float = 0.0
    repeats: int = 0


def next_line(last: Printed, news: tuple[object, ...], now: float) -> Printed | None:
    """Return what is printed now: news at once, and the same news again every 10 s, after a minute every minute.

    Args:
        last: The last line.
        news: The news now.
        now: Time in seconds.

    Returns:
        The new last line; None if nothing is printed.
    """
    if news != last.news:
        return Printed(news, now)
    pause = _SOON_S if last.repeats < _MOST_SOON else _LATER_S
    return Printed(news, now, last.repeats + 1) if now - last.at >= pause else None


def line(now: Progress, remarks: Sequence[str] = ()) -> str:
    """Return the progress as one line of plain text."""
    counts = ", ".join(f"{count} {state.value.lower()}" for state, count in now.states.items() if count)
    parts = [f"{now.name}: {now.finished}/{counted(now.total, 'run')} ({counts})"]
    if now.pairs is not None:
        parts.append(f"{now.pairs[0]}/{counted(now.pairs[1], 'pair')}")
    if now.best is not None:
        parts.append(f"best {now.metric} {now.best[1]:.4f} (run {now.best[0]})")
    if now.baseline is not None:
        parts.append(f"baseline {now.baseline[0]:.4f} at {now.unit} {now.baseline[1]}/{now.budget}")
    parts.append(counted(now.epochs_spent, now.unit) + (f", {now.epochs_saved} saved" if now.survivors else ""))
    if now.eta_s is not None:
        parts.append(f"{duration(now.eta_s)} left")
    parts.extend(remarks)
    return ", ".join(parts)


def panel(now: Progress, remarks: Sequence[str] = ()) -> RenderableType:
    """Return the panel of the live view."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    bar = ProgressBar(total=now.total, completed=now.finished, width=40)
    left = "" if now.eta_s is None else f", {duration(now.eta_s)} left"
    grid.add_row(now.name, bar)
    grid.add_row("runs", f"{now.finished} of {now.total} finished{left}")
    grid.add_row("", _state_text(now.states))
    if now.pairs is None:
        grid.add_row(now.metric, _best_text(now))
    else:
        grid.add_row("pairs", f"{now.pairs[0]} of {now.pairs[1]} complete in every arm")
    if now.survivors:
        words = "   ".join(f"{now.unit} {rung}: {promoted} of {reached}" for rung, reached, promoted in now.survivors)
        grid.add_row("promoted", words)
    saved = f", {now.epochs_saved} saved by early stopping" if now.survivors else ""
    grid.add_row(f"{now.unit}s", f"{now.epochs_spent} trained{saved}")
    for remark in remarks:
        grid.add_row("", Text(remark, "yellow"))
    return grid


COLOURS = {
    RunState.RUNNING: "cyan",
    RunState.COMPLETE: "green",
    RunState.STOPPED: "yellow",
    RunState.DIVERGED: "magenta",
    RunState.FAILED: "red",
    RunState.INTERRUPTED: "dim",
}


def _state_text(states: Mapping[RunState, int]) -> Text:
    words = [
        (f"{states[state]} {state.value.lower()}   ", colour) for state, colour in COLOURS.items() if states.get(state)
    ]
    return Text.assemble(*words) if words else Text("starting", "dim")


def _best_text(now: Progress) -> str:
    best = "no run is complete yet" if now.best is None else f"best {now.best[1]:.4f} (run {now.best[0]})"
    if now.baseline is None:
        return best
    value, epoch = now.baseline
    at = "" if epoch == now.budget else f" at {now.unit} {epoch} of {now.budget}"
    return f"{best}   baseline {value:.4f}{at}"


def duration(seconds: float) -> str:
    """Return a duration as text: ``5 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class LiveView(Listener):
    """Shows the progress of a sweep: a live panel in a terminal, lines of text elsewhere.

    It reads the conductor on a thread of its own, so it shows progress even while the database is unreachable.

    Args:
        conductor: Conductor of the sweep.
        console: Console to print to.
        progress: Returns the progress of the conductor's runs, given the estimated seconds left.
        writer: Writer whose remarks are shown, such as an unreachable database.
    """

    def __init__(
        self,
        conductor: Conductor,
        console: Console,
        progress: Callable[[Conductor, float | None], Progress],
        writer: Writer,
    ) -> None:
        self._conductor = conductor
        self._progress_of = progress
        self._writer = writer
        self._warned = 0
        self._console = console
        self._pace = Pace(conductor)
        self._over = threading.Event()
        show = self._show_panel if console.is_terminal else self._print_lines
        self._thread = threading.Thread(target=show, name="live-view", daemon=True)

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        self._thread.start()

    def sweep_ends(self) -> None:
        self._over.set()
        self._thread.join()

    def _progress(self) -> Progress:
        return self._progress_of(self._conductor, self._pace.eta_s())

    def _trained(self, now: Progress) -> bool:
        """Return whether this command trains no more runs."""
        return not now.states.get(RunState.RUNNING) and (now.finished == now.total or self._conductor.draining)

    def _remarks(self) -> list[str]:
        return [remark] if (remark := self._writer.remark) else []

    def _print_warnings(self) -> None:
        found = warnings(list(self._conductor.runs))
        for text in found[self._warned :]:
            self._console.print(f"warning: {text}", soft_wrap=True)
        self._warned = len(found)

    def _show_panel(self) -> None:
        """Show the panel from the start of the first run to the end of the last one."""
        live = Live(console=self._console, auto_refresh=False, transient=True)
        with ExitStack() as stack:
            stack.callback(live.stop)
            while not self._over.wait(1 / LIVE_PER_S) and not self._trained(now := self._progress()):
                if live.is_started or now.states.get(RunState.RUNNING):
                    live.start()
                    remarks = self._remarks() + warnings(list(self._conductor.runs))
                    live.update(panel(now, remarks), refresh=True)

    def _print_lines(self) -> None:
        last = Printed()
        while not self._over.wait(PLAIN_EVERY_S) and not self._trained(now := self._progress()):
            self._print_warnings()
            if self._conductor.first_report_at is None:
                continue
            remarks = self._remarks()
            following = next_line(last, (now.states, now.best, now.pairs, *remarks), time.monotonic())
            if following is not None:
                self._console.print(line(now, remarks), soft_wrap=True)
                last = following
