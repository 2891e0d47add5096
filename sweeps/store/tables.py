"""The tables: the one truth about every sweep. They live beside Optuna's own in the same database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    LargeBinary,
    String,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from trainers.reports import LONGEST_NAME

SCHEMA_VERSION = 4


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time, stored without a zone and always meant in UTC (SQLite keeps no zones)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Common ground of the mapped classes."""


class Sweep(Base):
    """One sweep or ablation: its resolved file, and who works on it."""

    __tablename__ = "sweep"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    spec_yaml: Mapped[str]
    metric: Mapped[str]
    goal: Mapped[str] = mapped_column(String(8))
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    provenance: Mapped[dict[str, Any]] = mapped_column(JSON)
    schema_version: Mapped[int]
    lease_owner: Mapped[str | None]
    lease_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    lease_expires: Mapped[datetime | None] = mapped_column(UTCDateTime)  # on the database's clock
    lease_token: Mapped[int] = mapped_column(default=0)  # one more with every driver: the larger one may write
    written_by: Mapped[str | None]  # the last driver that has written, and
    written: Mapped[int] = mapped_column(default=0)  # how many of its events are in


class Run(Base):
    """One recipe trained with one seed."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("sweep_id", "number"),
        UniqueConstraint("sweep_id", "arm", "recipe_hash", "seed"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sweep_id: Mapped[int] = mapped_column(ForeignKey("sweep.id"))
    number: Mapped[int]  # from 0; also the number of its trial in the Optuna study
    arm: Mapped[str] = mapped_column(default="")  # "" in a sweep: NULLs would not collide in the constraint above
    pair: Mapped[int | None]
    design: Mapped[str] = mapped_column(String(16), default="")  # of an ablation: tuning, matched or retuned
    recipe: Mapped[dict[str, Any]] = mapped_column(JSON)
    recipe_hash: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[dict[str, str] | None] = mapped_column(JSON)  # of what the runs of a pair must share
    state: Mapped[str] = mapped_column(String(16))
    epoch: Mapped[int] = mapped_column(default=0)
    value: Mapped[float | None] = mapped_column(Float)  # the last finite value of the sweep's metric
    seconds: Mapped[float] = mapped_column(default=0.0)  # of training, repeated epochs counted once
    attempts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    optuna_trial_id: Mapped[int | None]
    ray_trial_id: Mapped[str | None]
    node: Mapped[str | None]  # of the cluster that trained it last: its address and the start of its id
    checkpoint: Mapped[str | None]  # the trained weights, kept for the best run
    error: Mapped[str | None]


class EpochMetric(Base):
    """One number that one epoch reported."""

    __tablename__ = "epoch_metric"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), primary_key=True)
    value: Mapped[float | None] = mapped_column(Float)  # NULL is NaN: SQLite has no other way to keep one
    seq: Mapped[int]  # order of recording within the sweep, one step per epoch report


class Prediction(Base):
    """What a fully trained model says of every example of a split, as little-endian arrays."""

    __tablename__ = "prediction"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(16), primary_key=True)
    weights: Mapped[str] = mapped_column(String(16), primary_key=True)
    n: Mapped[int]
    label: Mapped[bytes] = mapped_column(LargeBinary)  # int32
    predicted: Mapped[bytes] = mapped_column(LargeBinary)  # int32
    confidence: Mapped[bytes] = mapped_column(LargeBinary)  # float32
    nll: Mapped[bytes] = mapped_column(LargeBinary)  # float32, nats


def missing_columns(connection: Connection) -> list[str]:
    """Columns of ours that the tables of a database do not have, such as ``run.node``.

    Raises:
        NoSuchTableError: A whole table is not there.
    """
    found = inspect(connection)
    return [
        f"{name}.{column.name}"
        for name, table in Base.metadata.tables.items()
        for column in table.columns
        if column.name not in {there["name"] for there in found.get_columns(name)}
    ]


def other_release(missing: Sequence[str]) -> str:
    """What is said of tables that lack these columns."""
    return (
        f"--storage: its tables are of another release (they lack {', '.join(missing)}): use the release that "
        "made them, or another --storage"
    )
