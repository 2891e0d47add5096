"""The events that a driver records, and their encoding in the journal."""

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
from trainers.usage import Usage


@dataclass(frozen=True)
class RunAdded:
    """A run was added; it has not begun yet."""

    number: int
    recipe: Mapping[str, Any]
    recipe_hash: str
    seed: int
    arm: str = ""
    pair: int | None = None
    design: str = ""


@dataclass(frozen=True)
class RunBegun:
    """A worker starts a run, for the first time or again.

    Attributes:
        number: Number of the run.
        attempts: Number of starts so far.
        at: Time of the start; only the first one is stored.
        ray_trial_id: Id of the Ray trial.
    """

    number: int
    attempts: int
    at: datetime
    ray_trial_id: str | None = None


@dataclass(frozen=True)
class StepRecorded:
    """Epochs of a run and its new state. Epochs that are already stored do not change.

    Attributes:
        number: Number of the run.
        reports: Next epochs of the run, in order.
        first_seq: Sequence number of the first report; those of the others follow.
        outcome: State and value after the last report.
        at: Time of recording.
        fingerprint: Digests of what the training started from; if empty, the stored ones remain.
        node: Name of the node that trained the run; None keeps the stored one.
        attempt: Number of this start of the run, from 1.
        usage: What this start has used so far; None keeps what is stored.
    """

    number: int
    reports: tuple[EpochReport, ...]
    first_seq: int
    outcome: RunOutcome
    at: datetime
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None
    attempt: int = 1
    usage: Usage | None = None


@dataclass(frozen=True)
class OutputRecorded:
    """The last lines that a run has printed in this attempt; they replace those recorded before.

    Attributes:
        number: Number of the run.
        attempt: Number of the attempt, from 1.
        text: The lines.
        at: Time of recording.
    """

    number: int
    attempt: int
    text: str
    at: datetime


@dataclass(frozen=True)
class WeightsKept:
    """The location of the best run's trained weights; all other runs have none."""

    number: int | None
    path: str | None


@dataclass(frozen=True)
class RunsInterrupted:
    """Every RUNNING run becomes INTERRUPTED."""


Event = RunAdded | RunBegun | StepRecorded | OutputRecorded | WeightsKept | RunsInterrupted
_KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind for kind in (RunAdded, RunBegun, StepRecorded, OutputRecorded, WeightsKept, RunsInterrupted)
}
_ARRAYS = {"label": "<i4", "predicted": "<i4", "confidence": "<f4", "nll": "<f4"}


def encode(event: Event) -> bytes:
    """Encode an event as JSON; `decode` restores every number exactly, also NaN and infinities."""
    if isinstance(event, StepRecorded):
        values: dict[str, Any] = {
            "number": event.number,
            "reports": [_encode_report(report) for report in event.reports],
            "first_seq": event.first_seq,
            "outcome": asdict(event.outcome),
            "at": event.at,
            "fingerprint": dict(event.fingerprint),
            "node": event.node,
            "attempt": event.attempt,
            "usage": None if event.usage is None else asdict(event.usage),
        }
    else:
        values = asdict(event)
    return json.dumps({"kind": type(event).__name__, **values}, default=datetime.isoformat).encode()


def decode(payload: bytes) -> Event:
    """Decode an event.

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
            values["reports"] = tuple(_decode_report(report) for report in values["reports"])
            values["usage"] = Usage(**values["usage"]) if values.get("usage") else None
        return kind(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise SweepError(f"an event in the journal was written by another release ({error})") from error


def _encode_report(report: EpochReport) -> dict[str, Any]:
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


def _decode_report(values: dict[str, Any]) -> EpochReport:
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
