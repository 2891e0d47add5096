"""Runs that hang, and runs that run out of memory."""

from __future__ import annotations

import time

import spaces
from stage import Stage, fault
from user_code import runs_of

LIMIT_S = 5


@fault("hangs", "a loop sleeps for ever in its second epoch; the space has time_limit_s: 5", 4, 2)
def hangs(stage: Stage) -> None:
    space, rule = spaces.loop(
        "fault_loops:hangs",
        runs=8,
        custom="bad: false",
        search="custom.bad: {choice: [false, true]}",
        more=f"time_limit_s: {LIMIT_S}",
    )
    trial = stage.sweep(space, ray=True)
    began = time.monotonic()
    code = trial.finish(timeout=60 + 8 * 4 * LIMIT_S)
    took = time.monotonic() - began
    stage.code(code, 0, trial)
    breaches = []
    for run in runs_of(trial):
        bad = run["recipe"]["custom"]["bad"]
        stage.injected += bad
        if run["state"] != ("FAILED" if bad else "COMPLETE"):
            breaches.append(f"run {run['number']}, which {'hangs' if bad else 'does not hang'}, is {run['state']}")
        if bad and "time limit" not in str(run["error"]):
            breaches.append(f"run {run['number']}: its error is {str(run['error'])[-100:]!r}")
    stage.count = min(stage.count, max(1, stage.injected))
    stage.check(
        "only runs that hang are FAILED, by the time limit", breaches, f"{stage.injected} hung, {took:.0f} s in total"
    )
    stage.says(trial)
    stage.whole(trial, rule, again=1, failed=True)


# Kind -> state, number of attempts, and beginning of the error.
MEMORY = {
    "never": ("COMPLETE", 1, ""),
    "once memory": ("COMPLETE", 2, ""),
    "once gpu": ("COMPLETE", 2, ""),
    "always memory": ("FAILED", 2, "out of memory"),
    "always gpu": ("FAILED", 2, "out of memory"),
}


@fault("out-of-memory", "a loop allocates more than RLIMIT_AS, or raises torch.OutOfMemoryError: once, or always", 8, 4)
def out_of_memory(stage: Stage) -> None:
    search = f"custom.memory: {{choice: [{', '.join(MEMORY)}]}}"
    space, rule = spaces.loop("fault_loops:greedy", runs=6, custom="memory: never", search=search, sampler="grid")
    for ray in (False, True) if stage.count > 4 else (True,):
        name = "toy-ray" if ray else "toy"
        (stage.folder / name).mkdir()
        trial = stage.sweep(space, ray=ray, name=name, environment={"FAULT_FOLDER": str(stage.folder / name)})
        stage.code(trial.finish(timeout=120), 0, trial)
        breaches = []
        for run in runs_of(trial):
            kind = run["recipe"]["custom"]["memory"]
            stage.injected += kind != "never"
            state, attempts, error = MEMORY[kind]
            if (run["state"], run["attempts"]) != (state, attempts) or not str(run["error"] or "").startswith(error):
                breaches.append(f"{kind}: {run['state']} after {run['attempts']} attempts, {str(run['error'])[:60]!r}")
        stage.check(
            "once: retried and COMPLETE; always: FAILED after two attempts, with the error out of memory", breaches
        )
        stage.says(trial)
        stage.whole(trial, rule, name, again=0, failed=True)
