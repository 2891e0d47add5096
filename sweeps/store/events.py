"""What a driver records, one event after the other, and its form in bytes: they wait in a file for the database."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces import SweepError
from sweeps.run_state import RunState
from sweeps.store.records import RunOutcome
from trainers.reports import EpochReport, Predictions


@dataclass(frozen=True)
class RunAdded:
    """A run has its number; nobody has begun it yet."""

    number: int
    recipe: Mapping[str, Any]
    recipe_hash: str
    seed: int
    arm: str = ""
    pair: int | None = None
    design: str = ""


@dataclass(frozen=True)
class RunBegun:
    """A worker takes a run up, for the first time or again.

    Attributes:
        number: Of the run.
        attempts: How often it was taken up by now.
        at: When; the first time stays.
        ray_trial_id: Its trial in Ray.
    """

    number: int
    attempts: int
    at: datetime
    ray_trial_id: str | None = None


@dataclass(frozen=True)
class StepRecorded:
    """Epochs and what follows from them, all or nothing. Epochs that are there already stay as they are.

    Attributes:
        number: Of the run.
        reports: Its next epochs, in order.
        first_seq: Order of recording of the first report; the next ones follow it.
        outcome: State and value after the last report.
        at: When.
        fingerprint: Digests of what the training started from; none leaves those that are stored.
        node: Where it was trained; None leaves the node that is stored.
    """

    number: int
    reports: tuple[EpochReport, ...]
    first_seq: int
    outcome: RunOutcome
    at: datetime
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None


@dataclass(frozen=True)
class WeightsKept:
    """Where the trained weights of the best run are; those of every other run are gone."""

    number: int | None
    path: str | None


@dataclass(frozen=True)
class RunsInterrupted:
    """Whatever was RUNNING has lost its driver."""


Event = RunAdded | RunBegun | StepRecorded | WeightsKept | RunsInterrupted
_KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind for kind in (RunAdded, RunBegun, StepRecorded, WeightsKept, RunsInterrupted)
}
_ARRAYS = {"label": "<i4", "predicted": "<i4", "confidence": "<f4", "nll": "<f4"}


def encode(event: Event) -> bytes:
    """An event as JSON; numbers and arrays come back bit by bit, NaN and infinities too."""
    if isinstance(event, StepRecorded):
        values: dict[str, Any] = {
            "number": event.number,
            "reports": [_report(report) for report in event.reports],
            "first_seq": event.first_seq,
            "outcome": asdict(event.outcome),
            "at": event.at,
            "fingerprint": dict(event.fingerprint),
            "node": event.node,
        }
    else:
        values = asdict(event)
    return json.dumps({"kind": type(event).__name__, **values}, default=datetime.isoformat).encode()


def decode(payload: bytes) -> Event:
    """The event again.

    Raises:
        SweepError: Another release wrote it.
    """
    values = json.loads(payload)
    try:
        kind = _KINDS[values.pop("kind")]
        if "at" in values:
            values["at"] = datetime.fromisoformat(values["at"])
        if kind is StepRecorded:
            outcome = values["outcome"]
            values["outcome"] = RunOutcome(**{**outcome, "state": RunState(outcome["state"])})
            values["reports"] = tuple(_report_again(report) for report in values["reports"])
        return kind(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise SweepError(f"an event that waits for the database is of another release ({error})") from error


def _report(report: EpochReport) -> dict[str, Any]:
    return {
        "epoch": report.epoch,
        "metrics": {name: float(value) for name, value in report.metrics.items()},
        "seconds": report.seconds,
        "predictions": [
            {"split": part.split, "weights": part.weights}
            | {name: _text(getattr(part, name), kind) for name, kind in _ARRAYS.items()}
            for part in report.predictions
        ],
    }


def _report_again(values: dict[str, Any]) -> EpochReport:
    parts = tuple(
        Predictions(
            part["split"], part["weights"], **{name: _array(part[name], kind) for name, kind in _ARRAYS.items()}
        )
        for part in values["predictions"]
    )
    return EpochReport(values["epoch"], values["metrics"], values["seconds"], parts)


def _text(array: npt.NDArray[Any], kind: str) -> str:
    return base64.b64encode(array.astype(kind).tobytes()).decode()


def _array(text: str, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)
