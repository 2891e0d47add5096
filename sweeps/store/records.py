"""Frozen records that the store reads and writes; they need no open database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from search_spaces import Recipe
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
    provenance: Mapping[str, Any]
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
        owner: Name of the driver.
        token: Fencing token, larger than the tokens of all earlier drivers.
    """

    sweep_id: int
    owner: str
    token: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One row of ``run``; the columns are described in `sweeps.store.tables.Run`."""

    number: int
    arm: str = ""
    pair: int | None = None
    design: str = ""
    recipe: Recipe
    recipe_hash: str
    seed: int
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    state: RunState
    epoch: int = 0
    value: float | None = None
    seconds: float = 0.0
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    node: str | None = None
    checkpoint: str | None = None
    error: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """Build a record from a row; columns without a field are ignored."""
        values = {one.name: row[one.name] for one in fields(cls)} | {
            "recipe": Recipe.model_validate(row["recipe"]),
            "fingerprint": row["fingerprint"] or {},
            "state": RunState(row["state"]),
        }
        return cls(**values)


@dataclass(frozen=True)
class RunOutcome:
    """State of a run after a step.

    Attributes:
        state: New state of the run.
        value: Last finite value of the sweep's metric; ``None`` keeps the stored value.
        error: Traceback of a failed run.
    """

    state: RunState
    value: float | None = None
    error: str | None = None
