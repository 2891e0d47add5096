"""Two snapshots of a database, compared with SQL only: no recorded row may disappear or change."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

Rows = dict[tuple, dict[str, Any]]
FINISHED = ("COMPLETE", "STOPPED", "DIVERGED", "FAILED")
OPTUNA_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
OPTUNA_STATE = {"COMPLETE": "COMPLETE", "STOPPED": "PRUNED", "DIVERGED": "PRUNED", "FAILED": "FAIL"}

# Table -> key columns. Columns that are not in MAY_CHANGE must keep their first value.
KEYS = {
    "sweep": ("id",),
    "run": ("id",),
    "epoch_metric": ("run_id", "epoch", "name"),
    "prediction": ("run_id", "split", "weights"),
    "studies": ("study_id",),
    "study_directions": ("study_id", "objective"),
    "study_user_attributes": ("study_id", "key"),
    "trials": ("trial_id",),
    "trial_params": ("trial_id", "param_name"),
    "trial_values": ("trial_id", "objective"),
    "trial_intermediate_values": ("trial_id", "step"),
    "trial_user_attributes": ("trial_id", "key"),
}
LEASE = ("lease_owner", "lease_since", "lease_expires", "lease_token", "written_by", "written")
GROWS = {"run": ("epoch", "seconds", "attempts")}
MAY_CHANGE = {
    "sweep": LEASE,
    "run": (
        "state",
        "value",
        "ray_trial_id",
        "node",  # of the last worker
        "checkpoint",
        "optuna_trial_id",
        "started_at",
        "finished_at",
        "error",
        "fingerprint",
    ),
    "trials": ("state", "datetime_start", "datetime_complete"),
}
# Columns that may change even in a finished row: weights are deleted for a better run; the study is written later.
ALWAYS = {"sweep": LEASE, "run": ("checkpoint", "optuna_trial_id"), "trials": ()}
ONCE = {  # set once, then fixed
    "run": ("optuna_trial_id", "started_at", "finished_at", "fingerprint"),
    "trials": ("datetime_complete",),
}


def read_only(url: str) -> Engine:
    """Return an engine that cannot write."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, poolclass=NullPool, execution_options={"postgresql_readonly": True})
    path = quote(str(Path(str(parsed.database)).absolute()))
    return create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool, connect_args={"timeout": 30})


def snapshot(url: str) -> dict[str, Rows]:
    """Return the rows of all tables by key, as of one moment; empty while there is no database."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return {}
    engine = read_only(url)
    found: dict[str, Rows] = {}
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        else:
            connection.exec_driver_sql("BEGIN")  # one transaction for all tables: pysqlite starts none for a SELECT
        present = set(inspect(connection).get_table_names())
        for table, key in KEYS.items():
            if table in present:
                rows = connection.execute(text(f"SELECT * FROM {table}")).mappings()
                found[table] = {tuple(row[name] for name in key): _plain(row) for row in rows}
    return found


def _plain(row: Any) -> dict[str, Any]:
    def cell(value: Any) -> Any:
        if isinstance(value, bytes | memoryview):
            return hashlib.sha256(bytes(value)).hexdigest()
        if isinstance(value, float) and math.isnan(value):
            return "nan"  # equal to itself
        return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value

    return {name: cell(value) for name, value in row.items()}


def changes(before: dict[str, Rows], after: dict[str, Rows]) -> list[str]:
    """Return the rows that disappeared and the columns that must not change but did."""
    found = []
    begun = {row.get("sweep_id") for row in before.get("run", {}).values()}
    for table, rows in before.items():
        now = after.get(table, {})
        for key, old in rows.items():
            if key not in now:
                found.append(f"{table} {key}: disappeared")
            elif table != "sweep" or old["id"] in begun:  # a sweep without runs may still get another file
                found += [f"{table} {key}: {what}" for what in _row_changes(table, old, now[key])]
    return found


def _row_changes(table: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    done = old.get("state") in FINISHED + OPTUNA_FINISHED
    free = ALWAYS.get(table, ()) if done else MAY_CHANGE.get(table, ())
    for name, value in old.items():
        other = new[name]
        if value == other:
            continue
        once = name in ONCE.get(table, ()) and value is not None
        if name in GROWS.get(table, ()) and not done:
            if other < value:
                yield f"{name} fell from {value} to {other}"
        elif name not in free or once:
            yield f"{name} was {value!r:.80} and is {other!r:.80}"
