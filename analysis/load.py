"""Reads the database into records and tidy frames. The database is opened read-only; each function is one query."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine, Select, func, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from search_spaces import UsageError
from sweeps.output_tail import KEPT_LINES, is_command
from sweeps.store.database import connect_read_only, shown
from sweeps.store.records import RunRecord
from sweeps.store.tables import (
    Base,
    EpochMetric,
    Prediction,
    Run,
    RunOutput,
    RunUsage,
    Sweep,
    missing_columns,
    other_release,
)
from trainers.reports import Predictions

_LARGEST = 1e100


def sweeps_frame(url: str) -> pd.DataFrame:
    """Return one row per sweep: name, kind, metric, goal, seed, created_at, spec_yaml, provenance and lease.

    Raises:
        UsageError: There is no database, it is unreachable, or it holds no sweeps.
    """
    columns = (
        Sweep.name,
        Sweep.kind,
        Sweep.metric,
        Sweep.goal,
        Sweep.seed,
        Sweep.created_at,
        Sweep.spec_yaml,
        Sweep.provenance,
        Sweep.lease_owner,
        Sweep.lease_expires,
    )
    return _read(url, select(*columns).order_by(Sweep.id))


def runs_frame(url: str, name: str | None = None) -> pd.DataFrame:
    """Return one row per run of one sweep or of all: sweep, number, state, epoch, value, seconds, recipe (a dict), ...

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    columns = [column for column in Run.__table__.columns if column.name not in ("id", "sweep_id")]
    query = select(Sweep.name.label("sweep"), *columns).join(Sweep, Sweep.id == Run.sweep_id)
    return _read(url, _of(query, name).order_by(Run.sweep_id, Run.number))


def runs_by_sweep(url: str, name: str | None = None) -> dict[str, list[RunRecord]]:
    """Return the runs of each sweep, by number; a sweep without runs is not in it.

    Args:
        url: Database URL.
        name: Name of one sweep or ablation; all by default.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    query = _of(select(Sweep.name.label("sweep"), Run.__table__).join(Sweep, Sweep.id == Run.sweep_id), name)
    found: dict[str, list[RunRecord]] = {}
    with _reading(url) as connection:
        for row in connection.execute(query.order_by(Run.sweep_id, Run.number)).mappings():
            found.setdefault(row["sweep"], []).append(RunRecord.from_row(row))
    return found


def runs_of(url: str, name: str) -> list[RunRecord]:
    """Return the runs of one sweep or ablation, by number; none if there is no such sweep.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    return runs_by_sweep(url, name).get(name, [])


def epochs_frame(url: str, name: str, number: int | None = None) -> pd.DataFrame:
    """Return one row per metric of an epoch: number, epoch, name, value (NaN if it was not a number), seq.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    query = (
        select(Run.number, EpochMetric.epoch, EpochMetric.name, EpochMetric.value, EpochMetric.seq)
        .join(Run, Run.id == EpochMetric.run_id)
        .join(Sweep, Sweep.id == Run.sweep_id)
    )
    if number is not None:
        query = query.where(Run.number == number)
    return _read(url, _of(query, name).order_by(EpochMetric.seq, EpochMetric.name))


def output_frame(url: str, name: str, number: int | None = None) -> pd.DataFrame:
    """Return one row per attempt of a run that printed something: number, attempt, text (its last lines).

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    query = (
        select(Run.number, RunOutput.attempt, RunOutput.text)
        .join(Run, Run.id == RunOutput.run_id)
        .join(Sweep, Sweep.id == Run.sweep_id)
    )
    if number is not None:
        query = query.where(Run.number == number)
    return _read_if_there(url, RunOutput, _of(query, name).order_by(Run.number, RunOutput.attempt))


def usage_frame(url: str, name: str) -> pd.DataFrame:
    """Return one row per start of a run: number, attempt, and the columns of `sweeps.store.tables.RunUsage`.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    columns = [column for column in RunUsage.__table__.columns if column.name != "run_id"]
    query = select(Run.number, *columns).join(Run, Run.id == RunUsage.run_id).join(Sweep, Sweep.id == Run.sweep_id)
    return _read_if_there(url, RunUsage, _of(query, name).order_by(Run.number, RunUsage.attempt))


def output_lines(attempts: pd.DataFrame) -> list[str]:
    """Return what one run printed: the last lines of all attempts, with a line between two attempts.

    The command of each attempt that was one stays, with the line before it.

    Args:
        attempts: The frame of `output_frame` for this run.
    """
    lines: list[str] = []
    stay: set[int] = set()
    for attempt, text in zip(attempts["attempt"], attempts["text"], strict=True):
        began = len(lines)
        if attempt > 1:
            lines.append(f"--- attempt {attempt} ---")
        lines.extend(text.split("\n"))
        if is_command(text):
            stay |= {began, began + (attempt > 1)}
    return [line for index, line in enumerate(lines) if index in stay or index >= len(lines) - KEPT_LINES]


def bounded(value: float | None) -> float | None:
    """Return a value for statistics: a finite one beyond ±1e100 as ±1e100, so that squares and sums are finite."""
    return value if value is None or not math.isfinite(value) else min(max(value, -_LARGEST), _LARGEST)


def predictions(url: str, name: str, split: str) -> dict[tuple[int, str], Predictions]:
    """Return what the fully trained models of a sweep predict on a split: ``(run number, weights)`` -> predictions.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    columns = (Prediction.label, Prediction.predicted, Prediction.confidence, Prediction.nll)
    query = (
        select(Run.number, Prediction.weights, *columns)
        .join(Run, Run.id == Prediction.run_id)
        .join(Sweep, Sweep.id == Run.sweep_id)
        .where(Prediction.split == split)
    )
    frame = _read(url, _of(query, name).order_by(Run.number, Prediction.weights))
    return {
        (row["number"], row["weights"]): Predictions(
            split=split,
            weights=row["weights"],
            label=np.frombuffer(row["label"], "<i4"),
            predicted=np.frombuffer(row["predicted"], "<i4"),
            confidence=np.frombuffer(row["confidence"], "<f4"),
            nll=np.frombuffer(row["nll"], "<f4"),
        )
        for row in frame.to_dict("records")
    }


def split_sizes(url: str, name: str) -> dict[str, int]:
    """Return the number of examples of each split with stored predictions.

    Raises:
        UsageError: As for `sweeps_frame`.
    """
    query = (
        select(Prediction.split, func.max(Prediction.n).label("n"))
        .join(Run, Run.id == Prediction.run_id)
        .join(Sweep, Sweep.id == Run.sweep_id)
        .group_by(Prediction.split)
    )
    frame = _read(url, _of(query, name))
    return {str(split): int(n) for split, n in zip(frame["split"], frame["n"], strict=True)}


def _of(query: Any, name: str | None) -> Any:
    return query if name is None else query.where(Sweep.name == name)


def _missing(engine: Engine) -> list[str]:
    with suppress(SQLAlchemyError), engine.connect() as connection:  # a missing file or table is not another release
        return missing_columns(connection)
    return []


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    engine = connect_read_only(url)
    try:
        with engine.connect() as connection:
            yield connection
    except (DatabaseError, pd.errors.DatabaseError) as error:  # pandas wraps the errors of a query in its own
        if isinstance(error, OperationalError) and engine.dialect.name != "sqlite":  # SQLite: the file does not exist
            reason = " ".join(str(error.orig).split())
            raise UsageError(f"--storage: {shown(url)} cannot be read: {reason}") from error
        if missing := _missing(engine):
            raise UsageError(other_release(missing)) from error
        raise UsageError(
            f"no sweeps at {shown(url)}: run one first (make sweep SPACE=finetune), or name another --storage"
        ) from error
    finally:
        engine.dispose()


def _read_if_there(url: str, table: type[Base], query: Select[Any]) -> pd.DataFrame:
    """Return the rows of a query; none if the database is of an earlier release, which had no such table."""
    with _reading(url) as connection:
        recorded = inspect(connection).has_table(table.__tablename__)
    return _read(url, query) if recorded else pd.DataFrame(columns=query.selected_columns.keys())


def _read(url: str, query: Select[Any]) -> pd.DataFrame:
    with _reading(url) as connection:
        frame = pd.read_sql(query, connection)
    # pandas reads a column that holds only NULLs as objects.
    return frame.astype({"value": "float64"}) if "value" in frame.columns else frame
