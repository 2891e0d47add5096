"""What the store hands out and takes in: frozen rows, without a database behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sweeps.run_state import RunState


@dataclass(frozen=True)
class SweepRecord:
    """One row of ``sweep``."""

    id: int
    name: str
    kind: str
    spec_yaml: str
    metric: str
    goal: str
    seed: int
    created_at: datetime
    lease_owner: str | None
    lease_since: datetime | None
    lease_expires: datetime | None
    written_by: str | None
    written: int


@dataclass(frozen=True)
class Fence:
    """The right to write a sweep; the database refuses it as soon as another driver has a newer one.

    Attributes:
        sweep_id: The sweep's row.
        owner: The driver's name.
        token: Larger than those of all drivers before.
    """

    sweep_id: int
    owner: str
    token: int


@dataclass(frozen=True)
class RunRecord:
    """One row of ``run``."""

    id: int
    number: int
    arm: str
    pair: int | None
    design: str
    recipe: Mapping[str, Any]
    recipe_hash: str
    seed: int
    fingerprint: Mapping[str, str] | None
    state: RunState
    epoch: int
    value: float | None
    seconds: float
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    checkpoint: str | None
    error: str | None


@dataclass(frozen=True)
class RunOutcome:
    """What a recorded step means for its run.

    Attributes:
        state: The state from now on.
        value: The last finite value of the sweep's metric; ``None`` leaves the stored one.
        error: Traceback of a failed run.
    """

    state: RunState
    value: float | None = None
    error: str | None = None
