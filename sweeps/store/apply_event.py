"""Writes an event to the tables. Every function works inside the transaction of its caller."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, assert_never

from sqlalchemy import Connection, Insert, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sweeps.run_state import RunState
from sweeps.store.events import Event, OutputRecorded, RunAdded, RunBegun, RunsInterrupted, StepRecorded, WeightsKept
from sweeps.store.tables import Base, EpochMetric, Prediction, Run, RunOutput, RunUsage
from trainers.reports import Predictions


def apply_event(connection: Connection, sweep_id: int, event: Event) -> None:
    """Write an event; repeating the same call changes nothing.

    Raises:
        IntegrityError: Another run of the sweep has this recipe with this seed.
    """
    match event:
        case RunAdded():
            _add(connection, sweep_id, event)
        case RunBegun():
            connection.execute(
                update(Run)
                .where(Run.sweep_id == sweep_id, Run.number == event.number)
                .values(
                    state=RunState.RUNNING.value,
                    attempts=event.attempts,
                    ray_trial_id=event.ray_trial_id,
                    started_at=func.coalesce(Run.started_at, event.at),
                )
            )
        case StepRecorded():
            _record(connection, sweep_id, event)
        case OutputRecorded():
            _keep_output(connection, sweep_id, event)
        case WeightsKept():
            runs = update(Run).where(Run.sweep_id == sweep_id)
            connection.execute(runs.where(Run.checkpoint.is_not(None)).values(checkpoint=None))
            connection.execute(runs.where(Run.number == event.number).values(checkpoint=event.path))
        case RunsInterrupted():
            interrupt(connection, sweep_id)
        case _:
            assert_never(event)


def interrupt(connection: Connection, sweep_id: int) -> None:
    """Mark every RUNNING run as INTERRUPTED."""
    connection.execute(
        update(Run)
        .where(Run.sweep_id == sweep_id, Run.state == RunState.RUNNING.value)
        .values(state=RunState.INTERRUPTED.value)
    )


def insert_or_ignore(connection: Connection, table: type[Base], *key: str) -> Insert:
    """Return an insert that keeps an existing row unchanged.

    Args:
        connection: Connection to the database; its dialect selects the statement.
        table: Table to insert into.
        key: Columns that identify a row; if none are given, any constraint of the table does.
    """
    columns = list(key) or None
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing(index_elements=columns)
    return sqlite.insert(table).on_conflict_do_nothing(index_elements=columns)


def _add(connection: Connection, sweep_id: int, event: RunAdded) -> None:
    connection.execute(
        insert_or_ignore(connection, Run, "sweep_id", "number"),
        {
            "sweep_id": sweep_id,
            "number": event.number,
            "recipe": dict(event.recipe),
            "recipe_hash": event.recipe_hash,
            "seed": event.seed,
            "arm": event.arm,
            "pair": event.pair,
            "design": event.design,
            "state": RunState.INTERRUPTED.value,
        },
    )


def _record(connection: Connection, sweep_id: int, event: StepRecorded) -> None:
    outcome = event.outcome
    values: dict[str, Any] = {"state": outcome.state.value}
    if outcome.value is not None:
        values["value"] = outcome.value
    if outcome.error is not None or outcome.state.finished:
        values["error"] = outcome.error
    if event.node is not None:
        values["node"] = event.node
    if event.fingerprint:
        values["fingerprint"] = dict(event.fingerprint)
    if outcome.state.finished:
        values["finished_at"] = event.at
    run = select(Run.id, Run.epoch, Run.seconds).where(Run.sweep_id == sweep_id, Run.number == event.number)
    run_id, epoch, seconds = connection.execute(run).one()
    for report in event.reports:
        if report.epoch > epoch:  # a repeated epoch does not count
            epoch, seconds = report.epoch, seconds + report.seconds
    _insert_metrics(connection, run_id, event)
    for report in event.reports:
        for part in report.predictions:
            _insert_predictions(connection, run_id, part)
    connection.execute(update(Run).where(Run.id == run_id).values(epoch=epoch, seconds=seconds, **values))
    if event.usage is not None:
        _replace(connection, RunUsage, {"run_id": run_id, "attempt": event.attempt}, asdict(event.usage))


def _keep_output(connection: Connection, sweep_id: int, event: OutputRecorded) -> None:
    run = select(Run.id).where(Run.sweep_id == sweep_id, Run.number == event.number)
    key = {"run_id": connection.execute(run).scalar_one(), "attempt": event.attempt}
    _replace(connection, RunOutput, key, {"text": event.text, "updated_at": event.at})


def _replace(connection: Connection, table: type[Base], key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    connection.execute(insert_or_ignore(connection, table), {**key, **values})
    connection.execute(update(table).filter_by(**key).values(**values))


def _insert_metrics(connection: Connection, run_id: int, event: StepRecorded) -> None:
    rows = [
        {
            "run_id": run_id,
            "epoch": report.epoch,
            "name": name,
            "value": None if math.isnan(value) else value,
            "seq": seq,
        }
        for seq, report in enumerate(event.reports, event.first_seq)
        for name, value in report.metrics.items()
    ]
    if rows:
        connection.execute(insert_or_ignore(connection, EpochMetric), rows)


def _insert_predictions(connection: Connection, run_id: int, part: Predictions) -> None:
    connection.execute(
        insert_or_ignore(connection, Prediction),
        {
            "run_id": run_id,
            "split": part.split,
            "weights": part.weights,
            "n": len(part.label),
            "label": part.label.astype("<i4").tobytes(),
            "predicted": part.predicted.astype("<i4").tobytes(),
            "confidence": part.confidence.astype("<f4").tobytes(),
            "nll": part.nll.astype("<f4").tobytes(),
        },
    )
