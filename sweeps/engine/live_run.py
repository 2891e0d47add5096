"""A run in the driver's memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from search_spaces import Recipe, Value
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot
from trainers.reports import START, EpochReport, Position
from trainers.usage import Usage


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
