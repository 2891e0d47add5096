"""A run in the driver's memory."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Self

from search_spaces import Recipe, Value
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot
from trainers.reports import START, EpochReport, Position
from trainers.usage import Usage

_DIFFERS: Final = re.compile(
    r"(?:[\w.~-]*/)+[\w.~-]*|0[xX][0-9a-fA-F]+|\b[0-9a-f]{8}[0-9a-f-]*\b|[-+]?\d[\d.,:eE+-]*|\b(?:nan|inf)\b"
)
"""Paths, addresses, hashes, numbers with their signs, and times."""


@dataclass
class LiveRun:
    """State of one run in the driver's memory. All of it can be read back from the database."""

    number: int
    recipe: Recipe
    recipe_hash: str
    seed: int
    state: RunState
    arm: str = ""
    pair: int | None = None
    design: str = ""
    epoch: int = 0
    value: float | None = None
    seconds: float = 0.0
    unfinished_s: float = 0.0  # of training in the epoch that is not complete
    curve: dict[int, float] = field(default_factory=dict)
    attempts: int = 0
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deaths: int = 0  # number of worker deaths
    deaths_without_progress: int = 0  # of these, since the last new epoch or further checkpoint
    saved: Position = START  # furthest checkpoint that a worker has reported
    out_of_memory: bool = False  # memory ran out once; a second time fails the run
    final: Mapping[str, float] = field(default_factory=dict)  # last recorded value of each metric
    warning: str | None = None  # last warning of the worker
    printed: bool = False  # some of its output is recorded
    undefined: set[str] = field(default_factory=set)  # metrics that were not finite in an epoch
    usage: Usage | None = None  # of this attempt
    usage_recorded_s: float = 0.0  # its time when it was last recorded

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Return the run of a record, without its curve."""
        # An unfinished run keeps no error but that memory ran out.
        return cls(**_shared(cls, record), out_of_memory=record.error is not None)

    def take_usage(self, usage: Usage | None, due_after_s: float) -> Usage | None:
        """Keep what this attempt has used so far, and return it if it is due to be recorded.

        Args:
            usage: The newest measurement; None if there is none.
            due_after_s: Seconds of the run after which it is recorded again; 0 if this is the last time.
        """
        self.usage = usage or self.usage
        if self.usage is None or self.usage.seconds - self.usage_recorded_s < due_after_s:
            return None
        self.usage_recorded_s = self.usage.seconds
        return self.usage

    @property
    def killed_at_work(self) -> bool:
        """Whether a worker of this run died, and the run can be trained: it has an epoch or a checkpoint."""
        return self.deaths > 0 and max(Position(self.epoch), self.saved) > START

    def keep_last(self, report: EpochReport) -> None:
        """Add a report to the last value of each metric. A repeated epoch is recorded already."""
        if report.epoch > self.epoch:
            self.final = {**self.final, **report.metrics}
        elif report.late:
            self.final = {**report.metrics, **self.final}

    def view(self, values: Mapping[str, Value]) -> RunSnapshot:
        """Return a snapshot of the run.

        Args:
            values: Parameter name -> value.
        """
        return RunSnapshot(**_shared(RunSnapshot, self) | {"values": values, "curve": dict(self.curve)})


def _shared(target: type[LiveRun] | type[RunSnapshot], source: object) -> dict[str, Any]:
    """Return the attributes of `source` that are fields of `target`, by name."""
    return {one.name: getattr(source, one.name) for one in fields(target) if hasattr(source, one.name)}


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
