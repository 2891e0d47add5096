"""What must be true of a sweep's database, checked with SQL and numpy alone: no code of the product decides here.

`snapshot` and `changes` compare two moments: nothing that was recorded may disappear or change. `verdicts` judges a
finished sweep. kill_trials.py uses both between and after its kills, tests/sweeps/test_kill.py on small sweeps.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

Rows = dict[tuple, dict[str, Any]]
FINISHED = ("COMPLETE", "STOPPED", "DIVERGED", "FAILED")
OPTUNA_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
OPTUNA_STATE = {"COMPLETE": "COMPLETE", "STOPPED": "PRUNED", "DIVERGED": "PRUNED", "FAILED": "FAIL"}

# Table -> its key. Whatever is not in MAY_CHANGE must stay as it was first seen.
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
        "checkpoint",
        "optuna_trial_id",
        "started_at",
        "finished_at",
        "error",
        "fingerprint",
    ),
    "trials": ("state", "datetime_start", "datetime_complete"),
}
# Even of a finished row: the weights of a best run go when a better one comes; the study is a copy that comes later.
ALWAYS = {"sweep": LEASE, "run": ("checkpoint", "optuna_trial_id"), "trials": ()}
ONCE = {  # set, then fixed
    "run": ("optuna_trial_id", "started_at", "finished_at", "fingerprint"),
    "trials": ("datetime_complete",),
}


def read_only(url: str) -> Engine:
    """An engine that cannot write."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, poolclass=NullPool, execution_options={"postgresql_readonly": True})
    path = quote(str(Path(str(parsed.database)).absolute()))
    return create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool, connect_args={"timeout": 30})


def snapshot(url: str) -> dict[str, Rows]:
    """Every row that may matter, by table and key, as of one moment; empty while there is no database."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return {}
    engine = read_only(url)
    found: dict[str, Rows] = {}
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        else:
            connection.exec_driver_sql("BEGIN")  # one moment for all tables: pysqlite begins none for a SELECT
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
    """What disappeared or changed against the law; empty when nothing did."""
    found = []
    for table, rows in before.items():
        now = after.get(table, {})
        for key, old in rows.items():
            if key not in now:
                found.append(f"{table} {key}: disappeared")
            else:
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


# --- the judgement of a finished sweep --------------------------------------------------------------------------


@dataclass
class Verdict:
    """One invariant.

    Attributes:
        law: What must hold.
        breaches: Where it does not.
        note: What was looked at.
    """

    law: str
    breaches: list[str] = field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        if not self.breaches:
            return f"ok      {self.law}" + (f" ({self.note})" if self.note else "")
        more = "" if len(self.breaches) == 1 else f" (and {len(self.breaches) - 1} more)"
        return f"BREACH  {self.law}: {self.breaches[0]}{more}"


@dataclass(frozen=True)
class Rule:
    """What the space says, read by whoever starts the trial.

    Attributes:
        runs: Planned.
        epochs: Full budget.
        rungs: Epochs at which ASHA decides.
        factor: Its reduction factor.
    """

    runs: int
    epochs: int
    rungs: tuple[int, ...]
    factor: int

    @classmethod
    def asha(cls, runs: int, epochs: int, grace: int = 1, factor: int = 3) -> Rule:
        """The rungs of a successive halving, written out."""
        rungs = [grace * factor**k for k in range(64)]
        return cls(runs, epochs, tuple(rung for rung in rungs if rung < epochs), factor)


def verdicts(url: str, name: str, rule: Rule, allow_failed: bool = False) -> list[Verdict]:
    """Every invariant of a finished sweep."""
    db = _Sweep(snapshot(url), name)
    return [
        _finished(db, rule, allow_failed),
        _baseline(db),
        _no_gaps(db, rule),
        _stopped_below_cutoff(db, rule),
        _survivors_at_cutoff(db, rule),
        _no_duplicates(url, db),
        _nothing_running(db),
        _study_agrees(db),
        _weights_kept(db),
        _lease_free(db),
    ]


class _Sweep:
    """The rows of one sweep, joined by hand."""

    def __init__(self, rows: dict[str, Rows], name: str) -> None:
        [self.row] = [row for row in rows["sweep"].values() if row["name"] == name]
        self.maximize = self.row["goal"] == "maximize"
        runs = [row for row in rows["run"].values() if row["sweep_id"] == self.row["id"]]
        self.runs = sorted(runs, key=lambda row: row["number"])
        ids = {row["id"] for row in self.runs}
        self.metrics = [row for row in rows["epoch_metric"].values() if row["run_id"] in ids]
        # run id -> epoch -> (value, seq) of the sweep's metric
        self.curves: dict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
        for row in self.metrics:
            if row["name"] == self.row["metric"]:
                value = math.nan if row["value"] is None else float(row["value"])
                self.curves[row["run_id"]][row["epoch"]] = (value, row["seq"])
        self.predictions = {row["run_id"] for row in rows["prediction"].values()}
        studies = [row["study_id"] for row in rows.get("studies", {}).values() if row["study_name"] == name]
        self.trials = {row["number"]: row for row in rows.get("trials", {}).values() if row["study_id"] in studies}
        self.intermediate: dict[int, dict[int, float]] = defaultdict(dict)
        for row in rows.get("trial_intermediate_values", {}).values():
            value = row["intermediate_value"]
            self.intermediate[row["trial_id"]][row["step"]] = math.nan if value in (None, "nan") else value
        self.values = {row["trial_id"]: row["value"] for row in rows.get("trial_values", {}).values()}

    def at(self, rung: int) -> list[tuple[int, int, float]]:
        """``(seq, run number, value)`` at a rung, in the order of recording, finite values only."""
        found = []
        for run in self.runs:
            value, seq = self.curves[run["id"]].get(rung, (math.nan, -1))
            if math.isfinite(value):
                found.append((seq, run["number"], value))
        return sorted(found)

    def below(self, rung: int, factor: int) -> dict[int, bool]:
        """Run number -> whether its value at this rung was below the cutoff of those recorded before it."""
        judged: dict[int, bool] = {}
        sign = 1 if self.maximize else -1
        earlier: list[float] = []
        for _, number, value in self.at(rung):
            if earlier:
                judged[number] = sign * value < float(np.quantile(np.array(earlier), 1 - 1 / factor))
            else:
                judged[number] = False
            earlier.append(sign * value)
        return judged


def _finished(db: _Sweep, rule: Rule, allow_failed: bool) -> Verdict:
    verdict = Verdict(f"{rule.runs} finished runs, none failed" if not allow_failed else f"{rule.runs} finished runs")
    if [run["number"] for run in db.runs] != list(range(rule.runs)):
        verdict.breaches.append(f"the runs are {[run['number'] for run in db.runs]}")
    good = FINISHED if allow_failed else FINISHED[:3]
    verdict.breaches += [f"run {run['number']} is {run['state']}" for run in db.runs if run["state"] not in good]
    states = [run["state"] for run in db.runs]
    verdict.note = ", ".join(f"{states.count(state)} {state}" for state in FINISHED if state in states)
    return verdict


def _baseline(db: _Sweep) -> Verdict:
    verdict = Verdict("one baseline, run 0, which nothing stops")
    if not db.runs or db.runs[0]["number"] != 0 or db.runs[0]["state"] == "STOPPED":
        verdict.breaches.append(f"run 0 is {db.runs[0]['state'] if db.runs else 'missing'}")
    return verdict


def _no_gaps(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("every run has all its epochs, up to where its state says")
    for run in db.runs:
        epochs = sorted(db.curves[run["id"]])
        where = f"run {run['number']} ({run['state']})"
        if epochs != list(range(1, run["epoch"] + 1)):
            verdict.breaches.append(f"{where} says epoch {run['epoch']} and has {epochs}")
        if run["state"] == "COMPLETE" and run["epoch"] != rule.epochs:
            verdict.breaches.append(f"{where} ended at epoch {run['epoch']} of {rule.epochs}")
        if run["state"] == "STOPPED" and run["epoch"] not in rule.rungs:
            verdict.breaches.append(f"{where} ended at epoch {run['epoch']}, which is no rung")
    verdict.note = f"{sum(len(curve) for curve in db.curves.values())} epochs, {len(db.metrics)} values"
    return verdict


def _stopped_below_cutoff(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("every STOPPED run was below the cutoff of the values recorded at its rung before it")
    stopped = [run for run in db.runs if run["state"] == "STOPPED"]
    for run in stopped:
        if not db.below(run["epoch"], rule.factor).get(run["number"], False):
            verdict.breaches.append(f"run {run['number']} at epoch {run['epoch']} was not")
    verdict.note = f"{len(stopped)} runs"
    return verdict


def _survivors_at_cutoff(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("every run that went on past a rung was not below its cutoff")
    looked = 0
    for rung in rule.rungs:
        below = db.below(rung, rule.factor)
        for run in db.runs[1:]:
            if run["epoch"] > rung:
                looked += 1
                if below.get(run["number"], False):
                    verdict.breaches.append(f"run {run['number']} passed epoch {rung}")
    verdict.note = f"{looked} decisions"
    return verdict


def _no_duplicates(url: str, db: _Sweep) -> Verdict:
    verdict = Verdict("0 duplicates of (run, epoch, name) and of (recipe, seed)")
    queries = {
        "(run, epoch, name)": "SELECT run_id, epoch, name FROM epoch_metric GROUP BY run_id, epoch, name "
        "HAVING count(*) > 1",
        "(sweep, recipe, seed)": "SELECT sweep_id, arm, recipe_hash, seed FROM run GROUP BY sweep_id, arm, "
        "recipe_hash, seed HAVING count(*) > 1",
        "(sweep, number)": "SELECT sweep_id, number FROM run GROUP BY sweep_id, number HAVING count(*) > 1",
    }
    with read_only(url).connect() as connection:
        for what, query in queries.items():
            verdict.breaches += [f"{what} {tuple(row)}" for row in connection.execute(text(query))]
    by_seq: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for row in db.metrics:
        by_seq[row["seq"]].add((row["run_id"], row["epoch"]))
    verdict.breaches += [f"seq {seq} belongs to {sorted(owners)}" for seq, owners in by_seq.items() if len(owners) > 1]
    return verdict


def _nothing_running(db: _Sweep) -> Verdict:
    verdict = Verdict("0 RUNNING rows in our table and in Optuna's")
    verdict.breaches += [
        f"run {run['number']} is {run['state']}" for run in db.runs if run["state"] in ("RUNNING", "INTERRUPTED")
    ]
    verdict.breaches += [
        f"trial {number} is {trial['state']}"
        for number, trial in db.trials.items()
        if trial["state"] not in OPTUNA_FINISHED
    ]
    return verdict


def _study_agrees(db: _Sweep) -> Verdict:
    verdict = Verdict("the Optuna study shows the same states, values and epochs")
    for run in db.runs:
        trial = db.trials.get(run["number"])
        where = f"run {run['number']} ({run['state']})"
        if trial is None:
            verdict.breaches.append(f"{where} has no trial")
            continue
        if trial["state"] != OPTUNA_STATE.get(run["state"]):
            verdict.breaches.append(f"{where} is trial state {trial['state']}")
        if trial["trial_id"] != run["optuna_trial_id"]:
            verdict.breaches.append(f"{where} is linked to trial {run['optuna_trial_id']}, not {trial['trial_id']}")
        ours = {epoch: value for epoch, (value, _) in db.curves[run["id"]].items()}
        theirs = db.intermediate[trial["trial_id"]]
        if ours.keys() != theirs.keys() or not all(_same(ours[epoch], theirs[epoch]) for epoch in ours):
            verdict.breaches.append(f"{where} has {len(ours)} epochs, its trial {len(theirs)}, or other values")
        if run["state"] in ("COMPLETE", "STOPPED") and db.values.get(trial["trial_id"]) != run["value"]:
            verdict.breaches.append(f"{where} has value {run['value']}, its trial {db.values.get(trial['trial_id'])}")
    extra = set(db.trials) - {run["number"] for run in db.runs}
    verdict.breaches += [f"trial {number} is no run" for number in sorted(extra)]
    return verdict


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _weights_kept(db: _Sweep) -> Verdict:
    verdict = Verdict("complete runs have their predictions; the best one alone its weights")
    complete = [run for run in db.runs if run["state"] == "COMPLETE"]
    if not complete:
        return verdict
    if db.predictions:  # a user's own loop gives none
        verdict.breaches += [
            f"run {run['number']} has no predictions" for run in complete if run["id"] not in db.predictions
        ]
    sign = -1 if db.maximize else 1
    best = min(complete, key=lambda run: (sign * run["value"], run["number"]))
    if best["checkpoint"] is None:
        verdict.breaches.append(f"run {best['number']}, the best, has no checkpoint")
    elif not Path(best["checkpoint"]).is_file():
        verdict.breaches.append(f"{best['checkpoint']} is missing")
    verdict.breaches += [
        f"run {run['number']} names a checkpoint, too" for run in db.runs if run is not best and run["checkpoint"]
    ]
    return verdict


def _lease_free(db: _Sweep) -> Verdict:
    owner = db.row["lease_owner"]
    return Verdict("the lease is given back", [] if owner is None else [f"held by {owner}"])
