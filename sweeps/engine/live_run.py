"""A run in the driver's memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from search_spaces import Recipe, Value
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot
from trainers.reports import START, Position


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
    final: Mapping[str, float] = field(default_factory=dict)  # metrics of the last epoch of a complete run
    warning: str | None = None  # last warning of the worker
    printed: bool = False  # some of its output is recorded

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Return the run of a record, without its curve."""
        # An unfinished run keeps no error but that memory ran out.
        return cls(**_shared(cls, record), out_of_memory=record.error is not None)

    @property
    def killed_at_work(self) -> bool:
        """Whether a worker of this run died, and the run can be trained: it has an epoch or a checkpoint."""
        return self.deaths > 0 and max(Position(self.epoch), self.saved) > START

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
    return (run.error or "").strip().rpartition("\n")[2] if run.state is RunState.FAILED else None


def failures(runs: Sequence[LiveRun]) -> list[str]:
    """Return the errors of the failed runs, each text once."""
    return _grouped((run.number, failure(run)) for run in runs)


def warnings(runs: Sequence[LiveRun]) -> list[str]:
    """Return the warnings of all runs, each text once."""
    return _grouped((run.number, run.warning) for run in runs)


def _grouped(texts: Iterable[tuple[int, str | None]]) -> list[str]:
    numbers: dict[str, list[int]] = {}
    for number, text in texts:
        if text is not None:
            numbers.setdefault(text, []).append(number)
    return [f"{text} (run {those[0]}{', ...' if those[1:] else ''})" for text, those in numbers.items()]
