"""Users' own loops and tasks: non-finite numbers, errors, missing modules, objects that cannot be pickled."""

from __future__ import annotations

import json
from typing import Any

import spaces
from kills import Trial
from snapshot import snapshot
from stage import Stage, fault


def runs_of(trial: Trial) -> list[dict[str, Any]]:
    """Return every run with its parsed recipe and its metrics as ``(epoch, name) -> value``."""
    rows = snapshot(trial.url)
    found = [{**row, "recipe": json.loads(row["recipe"]), "metrics": {}} for row in rows.get("run", {}).values()]
    by_id = {row["id"]: row for row in found}
    for (run, epoch, name), row in rows.get("epoch_metric", {}).items():
        by_id[run]["metrics"][epoch, name] = row["value"]
    return sorted(found, key=lambda row: row["number"])


DIVERGES = ("nan", "inf", "minus inf")
STORED = {
    "nan": None,
    "inf": float("inf"),
    "minus inf": float("-inf"),
    "huge": 1e308,
    "tiny": 5e-324,
    "minus huge": -1e308,
}


@fault(
    "odd-numbers",
    "a loop reports NaN, Inf, -Inf, 1e308, -1e308 or 5e-324 as the metric of the sweep or another metric",
    12,
    4,
)
def odd_numbers(stage: Stage) -> None:
    kinds = "custom.odd: {choice: [none, nan, inf, minus inf, huge, minus huge, tiny]}"
    where = "custom.where: {choice: [val/accuracy, train/loss]}"
    space, rule = spaces.loop(
        "fault_loops:odd",
        runs=15,
        epochs=4,
        custom="odd: none, where: val/accuracy",
        search=f"{kinds}, {where}",
        sampler="grid",
    )
    for ray in (False, True) if stage.count > 4 else (False,):
        name = "toy-ray" if ray else "toy"
        trial = stage.sweep(space, ray=ray, name=name)
        stage.code(trial.finish(), 0, trial)
        breaches = []
        for run in runs_of(trial):
            kind, metric = run["recipe"]["custom"]["odd"], run["recipe"]["custom"]["where"]
            wanted = ("DIVERGED", 3) if kind in DIVERGES else ("COMPLETE", 4)
            if (run["state"], run["epoch"]) != wanted:
                breaches.append(f"{kind} as {metric}: {run['state']} at epoch {run['epoch']}, wanted {wanted}")
            if kind in STORED:
                stage.injected += 1
                found = run["metrics"].get((3, metric), "nothing")
                breaches += [] if found == STORED[kind] else [f"{kind} as {metric} is stored as {found}"]
        stage.check(
            "NaN and infinities are DIVERGED at once, finite values are not, and each is stored unchanged", breaches
        )
        stage.says(trial)
        stage.whole(trial, rule, name, again=2)


@fault(
    "task-raises",
    "a loop raises in its fourth epoch; the error text has a null character and half a surrogate pair",
    4,
    2,
)
def task_raises(stage: Stage) -> None:
    space, rule = spaces.loop(
        "fault_loops:raises", runs=10, custom="bad: false", search="custom.bad: {choice: [false, true]}"
    )
    for ray in (False, True) if stage.count > 2 else (False,):
        name = "toy-ray" if ray else "toy"
        trial = stage.sweep(space, ray=ray, name=name)
        stage.code(trial.finish(), 0, trial)
        breaches = []
        for run in runs_of(trial):
            bad = run["recipe"]["custom"]["bad"]
            stage.injected += bad
            wanted = ("FAILED", 3, 1) if bad else ("COMPLETE", 9, 1)
            if (run["state"], run["epoch"], run["attempts"]) != wanted:
                breaches.append(
                    f"run {run['number']}: {run['state']}, epoch {run['epoch']}, {run['attempts']} attempts"
                )
            if bad and "RuntimeError: a zero" not in str(run["error"]):
                breaches.append(f"run {run['number']}: its error is {str(run['error'])[-100:]!r}")
        stage.check("only these runs are FAILED, with their traceback and the epochs before", breaches)
        stage.says(trial)
        stage.whole(trial, rule, name, again=1, failed=True)


MISSING = {
    "fault_raises_on_import:train": "RuntimeError: on import",
    "fault_nowhere:train": "there is no module",
    "fault_loops:nothing": "has no nothing",
    "fault_loops:ODD": "ODD",
}


@fault(
    "task-not-there",
    "a task whose module raises on import, does not exist or lacks the name, or that is not a task",
    8,
    4,
)
def task_not_there(stage: Stage) -> None:
    for number in range(stage.count):
        task = list(MISSING)[number % len(MISSING)]
        space, _ = spaces.loop(task, runs=3)
        trial = stage.sweep(space, ray=number >= len(MISSING), name=f"toy{number}")
        code = trial.finish(timeout=60)
        stage.injected += 1
        stage.code(code, 2, trial, f"a sweep of {task}")
        said = trial.command.said().strip().splitlines()
        reason = [line for line in said if not line.startswith("sweep 'toy")]  # the announcement of the sweep
        good = len(reason) == 1 and MISSING[task] in reason[0]
        stage.check("one line says why", [] if good else [f"{task}: {said[:4]}"])
        runs = len(snapshot(trial.url).get("run", {}))
        stage.same(f"runs of {task}", runs, 0)


@fault(
    "task-unpicklable",
    "a task and a loop with locks, lambdas, thread-local storage, an open file and a generator",
    4,
    2,
)
def task_unpicklable(stage: Stage) -> None:
    for number in range(stage.count):
        task = ("fault_unpicklable:Locked", "fault_unpicklable:train")[number % 2]
        space, rule = spaces.loop(task, runs=4, epochs=3)
        name = f"toy{number}"
        trial = stage.sweep(space, ray=number >= 2 or stage.count == 2, name=name)
        stage.code(trial.finish(), 0, trial, f"a sweep of {task}")
        stage.injected += 1
        stage.whole(trial, rule, name, again=1)
