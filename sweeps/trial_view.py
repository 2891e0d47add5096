"""What an Optuna study shows of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from search_spaces import Value
from sweeps.tables import RunState


@dataclass(frozen=True)
class TrialView:
    """What a study shows of one run.

    Attributes:
        number: Of the run and of its trial.
        state: Of the run.
        values: Searched field -> value.
        seed: Of the training.
        value: The last finite value of the metric.
        curve: Epoch -> value of the metric; may hold a NaN at the end.
        final: Of a complete run, everything that its last epoch reported.
        seconds: Of training.
        error: Traceback of a failed run.
        started_at: When a worker first took it up.
        finished_at: When it ended.
    """

    number: int
    state: RunState
    values: Mapping[str, Value]
    seed: int
    value: float | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
