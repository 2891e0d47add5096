"""Ctrl-C once, Ctrl-C twice, and SIGTERM, at random moments."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from functools import partial

import spaces
from kills import Trial, one, until
from stage import Stage, fault

KINDS = ("SIGINT once", "SIGINT twice", "SIGTERM")
AT_MOST_S = {"SIGINT once": 60.0, "SIGINT twice": 20.0, "SIGTERM": 60.0}


@fault(
    "signals",
    "SIGINT to the process group once or twice, or SIGTERM to the driver, at random moments after it holds the lease",
    15,
    3,
)
def signals(stage: Stage) -> None:
    space, rule = spaces.real(*((32, 27, 1) if stage.count > 5 else (16, 27, 2)))
    trial = stage.sweep(space)
    local = trial.command.arguments
    while stage.injected < stage.count:
        kind = KINDS[stage.injected % 3]
        ray = stage.injected % 2 == 0
        trial.command.arguments = [word for word in local if word != "--local"] if ray else local
        process = trial.command.start()
        until(partial(_holds, trial, process), 60, "the driver takes the sweep")
        if trial.wait(process, stage.rng.uniform(0.1, 12.0 if ray else 5.0)):
            stage.code(process.returncode, 0, trial, "a sweep that ended before its signal")
            break
        trial.command.processes()
        began = time.monotonic()
        _send(kind, process)
        code = trial.finish(process, AT_MOST_S[kind])
        stage.injected += 1
        trial.deaths[kind] += 1
        trial.say(f"{kind}: {code} after {time.monotonic() - began:.1f} s, {'with' if ray else 'without'} Ray")
        stage.code(code, 130, trial, kind)
        stage.nothing_runs(trial, kind)
        stage.no_process_left()
    trial.command.arguments = local
    stage.code(trial.finish(timeout=1800), 0, trial)
    stage.says(trial, "the same command continues")
    stage.whole(trial, rule, again=3)


def _send(kind: str, process: subprocess.Popen[bytes]) -> None:
    if kind == "SIGTERM":
        process.send_signal(signal.SIGTERM)
        return
    os.killpg(process.pid, signal.SIGINT)  # the same processes as for Ctrl-C in a terminal
    if kind == "SIGINT twice":
        time.sleep(0.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)


def _holds(trial: Trial, process: subprocess.Popen[bytes]) -> bool:
    """Return whether this driver holds the lease or has ended."""
    try:
        owner = one(trial.url, "SELECT lease_owner FROM sweep")
    except Exception:  # noqa: BLE001  no table yet
        owner = None
    return process.poll() is not None or f":{process.pid}:" in str(owner)
