"""What a step makes of its run: a pure decision, but that a value enters the rungs."""

from __future__ import annotations

import math

from sweeps.asha import Rungs
from sweeps.live_run import LiveRun
from sweeps.records import Outcome
from sweeps.tables import RunState
from sweeps.worker import Step
from trainers.reports import EpochReport


def judge(step: Step, run: LiveRun, metric: str, rungs: Rungs, draining: bool) -> Outcome:
    """The state of a run after a step. The baseline enters the rungs like every run, and is never stopped.

    Args:
        step: What its worker did.
        run: As it was before.
        metric: Of the sweep.
        rungs: Take in the values of the step.
        draining: No run goes on after its step.
    """
    value = run.value
    for report in step.reports:
        found = report.metrics.get(metric)
        if found is None:
            return Outcome(RunState.FAILED, value, error=_no_metric(metric, report))
        if math.isfinite(found):
            value = found
        # Before the next line: a recorded value counts at its rung, whatever else its epoch reported.
        stops = math.isfinite(found) and rungs.stops(run.number, report.epoch, found)
        if not report.finite:
            return Outcome(RunState.DIVERGED, value)
        if stops and run.number != 0:
            return Outcome(RunState.STOPPED, value)
    if step.error is not None:
        return Outcome(RunState.FAILED, value, error=printable(step.error))
    if step.finished:
        return Outcome(RunState.COMPLETE, value)
    return Outcome(RunState.INTERRUPTED if draining else RunState.RUNNING, value)


def printable(text: str) -> str:
    """A text that any database takes: what a user's code raises may hold zeros and halves of characters."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _no_metric(name: str, report: EpochReport) -> str:
    return printable(f"epoch {report.epoch} reported no {name!r}; it reported {', '.join(sorted(report.metrics))}")
