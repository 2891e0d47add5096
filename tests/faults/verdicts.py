"""The invariants of a finished sweep, checked with SQL and numpy only, without any code of the product."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from snapshot import FINISHED, OPTUNA_FINISHED, OPTUNA_STATE, Rows, read_only, snapshot
from sqlalchemy import text

ODD = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}  # how Optuna stores non-finite values


@dataclass
class Verdict:
    """The result of checking one invariant.

    Attributes:
        invariant: What must hold.
        breaches: Where it does not hold.
        note: What was checked.
    """

    invariant: str
    breaches: list[str] = field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        if not self.breaches:
            return f"ok      {self.invariant}" + (f" ({self.note})" if self.note else "")
        more = "" if len(self.breaches) == 1 else f" (and {len(self.breaches) - 1} more)"
        return f"BREACH  {self.invariant}: {self.breaches[0]}{more}"


@dataclass(frozen=True)
class Rule:
    """What the space of a sweep specifies.

    Attributes:
        runs: Number of planned runs.
        epochs: Full budget of a run.
        rungs: Epochs at which ASHA decides.
        factor: Reduction factor of ASHA.
        curve: Metric whose curve every run has and the study shows, if it is not the metric of the sweep.
    """

    runs: int
    epochs: int
    rungs: tuple[int, ...]
    factor: int
    curve: str = ""

    @classmethod
    def asha(cls, runs: int, epochs: int, grace: int = 1, factor: int = 3) -> Rule:
        """Return the rule of a sweep with ASHA."""
        rungs = [grace * factor**k for k in range(64)]
        return cls(runs, epochs, tuple(rung for rung in rungs if rung < epochs), factor)


def verdicts(url: str, name: str, rule: Rule, allow_failed: bool = False) -> list[Verdict]:
    """Check every invariant of a finished sweep."""
    db = _Sweep(snapshot(url), name, rule.curve)
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
    """The rows of one sweep, joined in Python."""

    def __init__(self, rows: dict[str, Rows], name: str, curve: str) -> None:
        [self.row] = [row for row in rows["sweep"].values() if row["name"] == name]
        self.maximize = self.row["goal"] == "maximize"
        runs = [row for row in rows["run"].values() if row["sweep_id"] == self.row["id"]]
        self.runs = sorted(runs, key=lambda row: row["number"])
        ids = {row["id"] for row in self.runs}
        self.metrics = [row for row in rows["epoch_metric"].values() if row["run_id"] in ids]
        # run id -> epoch -> (value, seq)
        self.curves: dict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
        for row in self.metrics:
            if row["name"] == (curve or self.row["metric"]):
                value = math.nan if row["value"] is None else float(row["value"])
                self.curves[row["run_id"]][row["epoch"]] = (value, row["seq"])
        self.predictions = {row["run_id"] for row in rows["prediction"].values()}
        studies = [row["study_id"] for row in rows.get("studies", {}).values() if row["study_name"] == name]
        self.trials = {row["number"]: row for row in rows.get("trials", {}).values() if row["study_id"] in studies}
        self.intermediate: dict[int, dict[int, float]] = defaultdict(dict)
        for row in rows.get("trial_intermediate_values", {}).values():
            value = ODD.get(str(row["intermediate_value_type"]), row["intermediate_value"])
            self.intermediate[row["trial_id"]][row["step"]] = value
        self.values = {row["trial_id"]: row["value"] for row in rows.get("trial_values", {}).values()}

    def at(self, rung: int) -> list[tuple[int, int, float]]:
        """Return ``(seq, run number, value)`` at a rung in the order of recording; finite values only."""
        found = []
        for run in self.runs:
            value, seq = self.curves[run["id"]].get(rung, (math.nan, -1))
            if math.isfinite(value):
                found.append((seq, run["number"], value))
        return sorted(found)

    def below(self, rung: int, factor: int) -> dict[int, bool]:
        """Return for each run number whether its value at this rung was below the cutoff of the values before it."""
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
    verdict = Verdict("run 0, the baseline, is never stopped early")
    if not db.runs or db.runs[0]["number"] != 0 or db.runs[0]["state"] == "STOPPED":
        verdict.breaches.append(f"run 0 is {db.runs[0]['state'] if db.runs else 'missing'}")
    return verdict


def _no_gaps(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("every run has all its epochs, up to the epoch of its row")
    for run in db.runs:
        epochs = sorted(db.curves[run["id"]])
        where = f"run {run['number']} ({run['state']})"
        if epochs != list(range(1, run["epoch"] + 1)):
            verdict.breaches.append(f"{where} has epoch {run['epoch']} in its row, and the epochs {epochs}")
        if run["state"] == "COMPLETE" and run["epoch"] != rule.epochs:
            verdict.breaches.append(f"{where} ended at epoch {run['epoch']} of {rule.epochs}")
        if run["state"] == "STOPPED" and run["epoch"] not in rule.rungs:
            verdict.breaches.append(f"{where} ended at epoch {run['epoch']}, which is not a rung")
    verdict.note = f"{sum(len(curve) for curve in db.curves.values())} epochs, {len(db.metrics)} values"
    return verdict


def _stopped_below_cutoff(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("every STOPPED run was below the cutoff of the values recorded before it at its rung")
    stopped = [run for run in db.runs if run["state"] == "STOPPED"]
    for run in stopped:
        if not db.below(run["epoch"], rule.factor).get(run["number"], False):
            verdict.breaches.append(f"run {run['number']} at epoch {run['epoch']} was not below it")
    verdict.note = f"{len(stopped)} runs"
    return verdict


def _survivors_at_cutoff(db: _Sweep, rule: Rule) -> Verdict:
    verdict = Verdict("no run that was promoted at a rung was below its cutoff")
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
    verdict = Verdict("0 RUNNING rows in the table of runs and in Optuna's")
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
            verdict.breaches.append(f"{where} has a trial with state {trial['state']}")
        if trial["trial_id"] != run["optuna_trial_id"]:
            verdict.breaches.append(f"{where} is linked to trial {run['optuna_trial_id']}, not {trial['trial_id']}")
        ours = {epoch: value for epoch, (value, _) in db.curves[run["id"]].items()}
        theirs = db.intermediate[trial["trial_id"]]
        if ours.keys() != theirs.keys() or not all(_same(ours[epoch], theirs[epoch]) for epoch in ours):
            verdict.breaches.append(f"{where} has {len(ours)} epochs, its trial {len(theirs)}, or other values")
        if run["state"] in ("COMPLETE", "STOPPED") and db.values.get(trial["trial_id"]) != run["value"]:
            verdict.breaches.append(f"{where} has value {run['value']}, its trial {db.values.get(trial['trial_id'])}")
    extra = set(db.trials) - {run["number"] for run in db.runs}
    verdict.breaches += [f"trial {number} is not a run" for number in sorted(extra)]
    return verdict


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _weights_kept(db: _Sweep) -> Verdict:
    verdict = Verdict("complete runs have their predictions; only the best one has weights")
    complete = [run for run in db.runs if run["state"] == "COMPLETE"]
    if not complete:
        return verdict
    if db.predictions:  # a user's own loop has none
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
        f"run {run['number']} also has a checkpoint" for run in db.runs if run is not best and run["checkpoint"]
    ]
    return verdict


def _lease_free(db: _Sweep) -> Verdict:
    owner = db.row["lease_owner"]
    return Verdict("the lease is released", [] if owner is None else [f"held by {owner}"])
