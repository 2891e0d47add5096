"""What an Optuna study shows of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from search_spaces import Value
from sweeps.run_state import RunState

_REASONS = {
    RunState.COMPLETE: "complete",
    RunState.STOPPED: "stopped by asha",
    RunState.DIVERGED: "diverged",
    RunState.FAILED: "failed",
}


@dataclass(frozen=True)
class RunSnapshot:
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


def shown_value(view: RunSnapshot) -> float | None:
    """The value of a finished trial; Optuna wants none for FAIL."""
    if not view.state.finished or view.state is RunState.FAILED:
        return None
    return view.value


def attributes(view: RunSnapshot) -> dict[str, Any]:
    """What else is told of a run."""
    told: dict[str, Any] = {"seed": str(view.seed)}  # as text: JSON readers round large integers
    if view.number == 0:
        told["baseline"] = True
    if view.state.finished:
        told |= {"reason": _REASONS[view.state], "seconds": round(view.seconds, 3)}
    if view.error:
        told["error"] = view.error[-2000:]
    return told
