"""A run at one moment, and how an Optuna study shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces import Value
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord

_REASONS = {
    RunState.COMPLETE: "complete",
    RunState.STOPPED: "stopped by asha",
    RunState.DIVERGED: "diverged",
    RunState.FAILED: "failed",
}


@dataclass(frozen=True, kw_only=True)
class RunSnapshot(RunRecord):
    """A run with its searched values and its curve, at one moment.

    The driver does not keep `fingerprint`, `node` and `checkpoint` in memory: they are unset in its snapshots.

    Attributes:
        values: Parameter name -> value, for the parameters that the recipe uses.
        curve: Epoch -> value of the sweep's metric; NaN or infinite where the run reported that.
        final: Last recorded value of each metric.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    curve: Mapping[int, float] = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)


def shown_value(view: RunSnapshot) -> float | None:
    """Return the value of a finished trial. Optuna allows none for FAIL."""
    if not view.state.finished or view.state is RunState.FAILED:
        return None
    return view.value


def attributes(view: RunSnapshot) -> dict[str, Any]:
    """Return the user attributes of the trial of a run."""
    shown: dict[str, Any] = {"seed": str(view.seed)}  # as text: JSON readers round large integers
    if view.number == 0:
        shown["baseline"] = True
    if view.state.finished:
        shown |= {"reason": _REASONS[view.state], "seconds": round(view.seconds, 3)}
    if view.error:
        shown["error"] = view.error[-2000:]
    return shown
