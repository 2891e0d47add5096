"""A run in the driver's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from search_spaces import Recipe, Value
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot


@dataclass
class LiveRun:
    """What the driver keeps in memory of one run; all of it can be read back from the database."""

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
    curve: dict[int, float] = field(default_factory=dict)
    attempts: int = 0
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deaths_without_progress: int = 0  # deaths of its workers since it last recorded an epoch
    out_of_memory: bool = False  # memory ran out before: the next time is the last
    final: Mapping[str, float] = field(default_factory=dict)  # of a complete run: what its last epoch reported
    warning: str | None = None  # of its worker, which went on all the same

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """The run as the database has it, its curve left out."""
        return cls(
            number=record.number,
            recipe=Recipe.model_validate(record.recipe),
            recipe_hash=record.recipe_hash,
            seed=record.seed,
            state=record.state,
            arm=record.arm,
            pair=record.pair,
            design=record.design,
            epoch=record.epoch,
            value=record.value,
            seconds=record.seconds,
            attempts=record.attempts,
            error=record.error,
            started_at=record.started_at,
            finished_at=record.finished_at,
            out_of_memory=record.error is not None,  # a run that is not over keeps no other error
        )

    def view(self, values: Mapping[str, Value]) -> RunSnapshot:
        """What a study shows of the run, whose searched fields have these values."""
        return RunSnapshot(
            number=self.number,
            state=self.state,
            values=values,
            seed=self.seed,
            value=self.value,
            curve=dict(self.curve),
            final=self.final,
            seconds=self.seconds,
            error=self.error,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )


def warnings(runs: Sequence[LiveRun]) -> list[str]:
    """What went wrong in runs that went on all the same, each text once."""
    numbers: dict[str, list[int]] = {}
    for run in runs:
        if run.warning is not None:
            numbers.setdefault(run.warning, []).append(run.number)
    return [f"{text} (run {those[0]}{', ...' if those[1:] else ''})" for text, those in numbers.items()]
