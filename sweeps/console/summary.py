"""The summary that a command prints at its end."""

import shlex
import time
from collections import Counter

from rich.console import Console

from sweeps.console.output import short
from sweeps.engine.conductor import Conductor
from sweeps.engine.failures import ALIKE, failures, warnings
from sweeps.engine.live_run import LiveRun
from sweeps.engine.progress import sweep_progress
from sweeps.plan.search_plan import searched_fields
from sweeps.run_state import RunState
from sweeps.store.database import DEFAULT_URL, shown

MOST_ERRORS = 3


class Phases:
    """Wall time of a command by phase: start-up, runs and shut-down.

    Args:
        began: `time.monotonic` at the start of the command.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._first_report: float | None = None
        self._trained: float | None = None
        self._ended = began
        self._slots = 1
        self._training_s = 0.0

    def trained(self, conductor: Conductor, slots: int) -> None:
        """Record that the last run has ended."""
        self._trained = time.monotonic()
        self._first_report = conductor.first_report_at
        self._training_s = conductor.session_seconds
        self._slots = slots

    def end(self) -> None:
        """Record that everything is written and released."""
        self._ended = time.monotonic()

    def __str__(self) -> str:
        wall = self._ended - self._began
        if self._trained is None or self._first_report is None:
            return f"{wall:.1f} s, no training"
        running = self._trained - self._first_report
        waiting = max(0.0, running * self._slots - self._training_s)
        return (
            f"{wall:.1f} s = start-up {self._first_report - self._began:.1f} + runs {running:.1f} + "
            f"shut-down {self._ended - self._trained:.1f}; workers trained {self._training_s:.1f} s and waited "
            f"{waiting:.1f} s ({self._slots} at a time)"
        )


def summary(conductor: Conductor, phases: Phases, storage: str, console: Console) -> None:
    """Print the state of a sweep at the end of a command."""
    spec = conductor.spec
    rows = [
        ("runs", states(conductor)),
        ("best", _best(conductor)),
        ("", _recipe(conductor)),
        (f"{spec.recipe.budget.unit}s", _epochs(conductor)),
        *(("failed", text) for text in failures(conductor.runs)[:MOST_ERRORS]),
        *(("warning", f" {text}") for text in warnings(conductor.runs)),
        ("time", str(phases)),
        ("stored", shown(storage)),
        ("next", _next(conductor, storage)),
    ]
    for name, text in rows:
        if text:
            console.print(f"{name:<8}{text}", soft_wrap=True)
    failed = [run for run in conductor.runs if run.state is RunState.FAILED]
    if failed:
        log = "; what they printed: add --log" if any(run.printed for run in failed) else ""
        console.print(f"        to see why runs failed: sweeps show {spec.name} RUN{log}", soft_wrap=True)


def states(conductor: Conductor) -> str:
    """Return the number of runs in each state as text."""
    counts = Counter(run.state for run in conductor.runs)
    words = ", ".join(f"{counts[state]} {state.value.lower()}" for state in RunState if counts[state])
    return f"{len(conductor.runs)} of {conductor.plan.total}: {words}"


def _best(conductor: Conductor) -> str:
    best = conductor.best()
    metric = conductor.spec.metric.name
    if best is None or best.value is None:
        return f"no run is complete yet, so there is no best {metric}"
    return f"run {best.number}: {metric} {best.value:.4f}{_gain(best, conductor.runs[0], conductor.spec.metric.goal)}"


def _gain(best: LiveRun, baseline: LiveRun, goal: str) -> str:
    if best is baseline:
        return ", the baseline recipe: no other run is better"
    if baseline.state is not RunState.COMPLETE or baseline.value is None or best.value is None:
        return ", the baseline is not complete"
    gain = best.value - baseline.value
    better = "better" if (gain > 0) == (goal == "maximize") else "no better"
    by = f"{baseline.value:.4f} by {abs(gain):.4f} (one seed, on the data used to choose it)"
    return f", {better} than the baseline recipe {by}"


def _recipe(conductor: Conductor) -> str:
    best = conductor.best()
    if best is None or best.number == 0:
        return ""
    values = searched_fields(best.recipe, conductor.spec)
    return ", ".join(f"{path} {short(value)}" for path, value in values.items())


def _epochs(conductor: Conductor) -> str:
    now = sweep_progress(conductor.spec, conductor.runs)
    return f"{now.epochs_spent} trained, {now.epochs_saved} saved by early stopping"


def continuation(conductor: Conductor) -> str:
    """Return what to do about a sweep that is not finished."""
    if conductor.gave_up is None:
        return "the same command continues"
    return (
        f"the first {ALIKE} runs failed with the same error, so no more were started: fix it and repeat the command, "
        "or add --keep-going"
    )


def _next(conductor: Conductor, storage: str) -> str:
    name = conductor.spec.name
    if not conductor.finished:
        return continuation(conductor)
    # Quoted for the shell: a URL may contain ? and &. The hidden password must be typed or come from ~/.pgpass.
    where = "" if storage == DEFAULT_URL else f", each with --storage {shlex.quote(shown(storage))}"
    return f"sweeps show {name} | sweeps dashboard | sweeps export {name}{where}"
