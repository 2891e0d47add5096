"""The errors of runs: what they say, which are the same, and when a sweep gives up because of them."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from sweeps.engine.live_run import LiveRun
from sweeps.run_state import RunState

ALIKE = 3  # a sweep stops if the first runs of a command, this many, fail with the same error
_DIFFERS: Final = re.compile(
    r"(?:[\w.~-]*/)+[\w.~-]*|0[xX][0-9a-fA-F]+|\b[0-9a-f]{8}[0-9a-f-]*\b|[-+]?\d[\d.,:eE+-]*|\b(?:nan|inf)\b"
)
"""Paths, addresses, hashes, numbers with their signs, and times."""


def alike(begun: Collection[LiveRun], nodes: int, failed_on: Collection[str | None]) -> str | None:
    """Return the error with which the first runs failed, if it ends the sweep: no run has ended otherwise.

    Args:
        begun: Runs that this command has begun, in order.
        nodes: Number of nodes on which runs are trained.
        failed_on: Nodes on which runs failed. If it is one of several, the node may be broken; it gets no more runs.
    """
    first = [failure(run) for run in islice(begun, ALIKE)]
    if len(first) < ALIKE or first[0] is None or (nodes > 1 and len(failed_on) == 1):
        return None
    same = len({error and same_error(error) for error in first}) == 1
    return first[0] if same and all(run.state is RunState.FAILED or not run.state.finished for run in begun) else None


def failure(run: LiveRun) -> str | None:
    """Return the last line of the error of a failed run: of a traceback, the exception. None if it has not failed."""
    if run.state is not RunState.FAILED:
        return None
    lines = [line.lstrip(" |") for line in (run.error or "").splitlines()]  # an ExceptionGroup is drawn with | and +--
    return next((line for line in reversed(lines) if line.strip("+- ")), "")


def same_error(error: str) -> str:
    """Return an error without what differs between runs: numbers, addresses, times and paths."""
    return _DIFFERS.sub("_", error)


def failures(runs: Sequence[LiveRun]) -> list[str]:
    """Return the errors of the failed runs, those that differ in numbers or paths only once."""
    return _grouped(((run.number, failure(run)) for run in runs), same_error)


def warnings(runs: Sequence[LiveRun]) -> list[str]:
    """Return the warnings of all runs, each text once."""
    return _grouped(((run.number, run.warning) for run in runs), str)


def _grouped(texts: Iterable[tuple[int, str | None]], key: Callable[[str], str]) -> list[str]:
    """Return the first text of every key, with the number of its run."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, text in texts:
        if text is not None:
            found.setdefault(key(text), []).append((number, text))
    firsts = [(those[0], len(those) > 1) for those in found.values()]
    return [f"{text} (run {number}{', ...' if more else ''})" for (number, text), more in firsts]
