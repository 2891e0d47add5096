"""The tables of the database. Optuna has its own tables beside them."""

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

from search_spaces.metric_names import LONGEST_NAME

SCHEMA_VERSION = 4


class UTCDateTime(TypeDecorator[datetime]):
    """A time in UTC, stored without a time zone (SQLite stores none)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base class of the tables."""


class Sweep(Base):
    """One sweep or ablation: its resolved file and its driver."""

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
    lease_expires: Mapped[datetime | None] = mapped_column(UTCDateTime)  # by the clock of the database
    lease_token: Mapped[int] = mapped_column(
        default=0
    )  # increases with every driver; only the driver with the latest one may write
    written_by: Mapped[str | None]  # name of the last driver that has written
    written: Mapped[int] = mapped_column(default=0)  # number of its events that are stored


class Run(Base):
    """One recipe trained with one seed."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("sweep_id", "number"),
        UniqueConstraint("sweep_id", "arm", "recipe_hash", "seed"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sweep_id: Mapped[int] = mapped_column(ForeignKey("sweep.id"))
    number: Mapped[int]  # from 0; the trial in the Optuna study has the same number
    arm: Mapped[str] = mapped_column(default="")  # "" in a sweep, because NULLs would not violate the constraint above
    pair: Mapped[int | None]
    design: Mapped[str] = mapped_column(String(16), default="")  # in an ablation: tuning, matched or retuned
    recipe: Mapped[dict[str, Any]] = mapped_column(JSON)
    recipe_hash: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[dict[str, str] | None] = mapped_column(JSON)  # digests of what the runs of a pair must share
    state: Mapped[str] = mapped_column(String(16))
    epoch: Mapped[int] = mapped_column(default=0)
    value: Mapped[float | None] = mapped_column(Float)  # last finite value of the sweep's metric
    seconds: Mapped[float] = mapped_column(default=0.0)  # training time; repeated epochs count once
    attempts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    optuna_trial_id: Mapped[int | None]
    ray_trial_id: Mapped[str | None]
    node: Mapped[str | None]  # last node of the cluster: its address and the start of its id
    checkpoint: Mapped[str | None]  # path or URL of the trained weights; only the best run has them
    error: Mapped[str | None]


class EpochMetric(Base):
    """One metric of one epoch."""

    __tablename__ = "epoch_metric"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), primary_key=True)
    value: Mapped[float | None] = mapped_column(Float)  # NULL means NaN, which SQLite cannot store
    seq: Mapped[int]  # position in the order of recording within the sweep, the same for all metrics of an epoch


class Prediction(Base):
    """Predictions of a fully trained model for every example of a split, as little-endian arrays."""

    __tablename__ = "prediction"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(16), primary_key=True)
    weights: Mapped[str] = mapped_column(String(16), primary_key=True)
    n: Mapped[int]
    label: Mapped[bytes] = mapped_column(LargeBinary)  # int32
    predicted: Mapped[bytes] = mapped_column(LargeBinary)  # int32
    confidence: Mapped[bytes] = mapped_column(LargeBinary)  # float32
    nll: Mapped[bytes] = mapped_column(LargeBinary)  # float32, nats


class RunOutput(Base):
    """The last lines that one attempt of a run has printed. A database of an earlier release may lack this table."""

    __tablename__ = "run_output"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)


class RunUsage(Base):
    """What one attempt of a run has used of its machine. A database of an earlier release may lack this table."""

    __tablename__ = "run_usage"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hardware: Mapped[str]  # model of the GPU, or of the CPU of a run without one
    gpus: Mapped[float] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float)  # repeated and unfinished epochs included
    cpu_seconds: Mapped[float] = mapped_column(Float)
    peak_memory: Mapped[int] = mapped_column(BigInteger)  # bytes of main memory
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    energy_j: Mapped[float | None] = mapped_column(Float)


def missing_columns(connection: Connection) -> list[str]:
    """Return the columns that are missing in the tables of a database, such as ``run.node``; not whole tables."""
    found = inspect(connection)
    there = set(found.get_table_names())
    return [
        f"{name}.{column.name}"
        for name, table in Base.metadata.tables.items()
        if name in there
        for column in table.columns
        if column.name not in {known["name"] for known in found.get_columns(name)}
    ]


def other_release(missing: Sequence[str]) -> str:
    """Return the error message for tables that lack these columns."""
    return (
        f"--storage: its tables are of another release (they lack {', '.join(missing)}): use the release that "
        "made them, or another --storage"
    )
