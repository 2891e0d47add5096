"""What a step makes of its run: a pure decision, but that a value enters the rungs."""

from __future__ import annotations

import math

from sweeps.engine.live_run import LiveRun
from sweeps.engine.messages import Step
from sweeps.plan.asha import Rungs
from sweeps.run_state import RunState
from sweeps.store.records import RunOutcome
from trainers.reports import EpochReport


def judge(step: Step, run: LiveRun, metric: str, rungs: Rungs, draining: bool) -> RunOutcome:
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
            return RunOutcome(RunState.FAILED, value, error=_no_metric(metric, report))
        if math.isfinite(found):
            value = found
        # Before the next line: a recorded value counts at its rung, whatever else its epoch reported.
        stops = math.isfinite(found) and rungs.stops(run.number, report.epoch, found)
        if not report.finite:
            return RunOutcome(RunState.DIVERGED, value)
        if stops and run.number != 0:
            return RunOutcome(RunState.STOPPED, value)
    if step.error is not None:
        # What else was in memory may be gone the next time; what is too large for it stays so.
        again = step.out_of_memory and not run.out_of_memory
        return RunOutcome(RunState.INTERRUPTED if again else RunState.FAILED, value, error=printable(step.error))
    if step.finished:
        return RunOutcome(RunState.COMPLETE, value)
    return RunOutcome(RunState.INTERRUPTED if draining else RunState.RUNNING, value)


def in_time(outcome: RunOutcome, run: LiveRun, step: Step, limit_s: float | None) -> RunOutcome:
    """The outcome of a step, unless its run would go on past its time limit."""
    if limit_s is None or outcome.state is not RunState.RUNNING:
        return outcome
    seconds = run.seconds + sum(report.seconds for report in step.reports if report.epoch > run.epoch)
    if seconds <= limit_s:
        return outcome
    epoch = max([run.epoch, *(report.epoch for report in step.reports)])
    return RunOutcome(
        RunState.FAILED, outcome.value, f"time limit: epoch {epoch} ended after {seconds:.0f} s of {limit_s:g} s"
    )


def over_time(limit_s: float, run: LiveRun, quiet_s: float) -> str:
    """What is said of a run whose worker does not come back in time."""
    return (
        f"time limit: nothing was heard for {quiet_s:.0f} s after epoch {run.epoch}, which with the "
        f"{run.seconds:.0f} s before makes more than {limit_s:g} s; its worker was ended"
    )


def printable(text: str) -> str:
    """A text that any database takes: what a user's code raises may hold zeros and halves of characters."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _no_metric(name: str, report: EpochReport) -> str:
    return printable(f"epoch {report.epoch} reported no {name!r}; it reported {', '.join(sorted(report.metrics))}")
