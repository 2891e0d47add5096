"""Decides the state of a run after a step."""

import math
from collections.abc import Iterable, Sequence

from search_spaces.metric_names import must_be_finite
from sweeps.engine.live_run import LiveRun
from sweeps.engine.messages import Step
from sweeps.plan.asha import Rungs
from sweeps.run_state import RunState
from sweeps.store.records import RunOutcome
from trainers.reports import EpochReport


def judge(step: Step, run: LiveRun, metric: str, rungs: Rungs, draining: bool) -> RunOutcome:
    """Return the state of a run after a step. The baseline enters the rungs like every run, but is never stopped.

    Args:
        step: Epochs or error of the worker.
        run: The run before the step.
        metric: Metric of the sweep.
        rungs: Rungs of ASHA; the values of the step are added.
        draining: Whether no run continues after its step.
    """
    value = run.value
    for report in step.reports:
        found = report.metrics.get(metric)
        if found is None and step.reports_all:
            return RunOutcome(RunState.FAILED, value, error=_no_metric(metric, report, run.recipe.budget.unit))
        finite = found is not None and math.isfinite(found)
        value = found if finite else value
        # A recorded value counts at its rung even if another number of the epoch is not finite.
        stops = found is not None and finite and rungs.stops(run.number, report.epoch, found)
        if diverged(report, metric):
            return RunOutcome(RunState.DIVERGED, value)
        if stops and run.number != 0:
            return RunOutcome(RunState.STOPPED, value)
    if step.error is not None:
        # Others may have filled the memory, so the run is tried once more; one that is too large fails again.
        again = step.out_of_memory and not run.out_of_memory
        return RunOutcome(RunState.INTERRUPTED if again else RunState.FAILED, value, error=printable(step.error))
    if step.finished and value is None:
        names = {*run.final, *(name for report in step.reports for name in report.metrics)}
        error = f"no {run.recipe.budget.unit} reported {metric!r}; the run reported {_listed(names)}"
        return RunOutcome(RunState.FAILED, error=printable(error))
    if step.finished:
        return RunOutcome(RunState.COMPLETE, value)
    return RunOutcome(RunState.INTERRUPTED if draining else RunState.RUNNING, value)


def diverged(report: EpochReport, metric: str) -> bool:
    """Return whether the metric of the sweep or a loss is not finite; the run then ends."""
    return any(must_be_finite(name, metric) for name in report.not_finite)


def undefined(reports: Sequence[EpochReport], metric: str) -> set[str]:
    """Return the names of metrics that are not finite in some epoch and do not end their run."""
    return {name for report in reports if not diverged(report, metric) for name in report.not_finite}


def undefined_warning(names: Iterable[str], metric: str, unit: str = "epoch") -> str | None:
    """Return a warning about the metrics that were not finite in a run; None if there are none."""
    if not names:
        return None
    which = ", ".join(sorted(names))
    where = "epochs" if unit == "epoch" else "reports"
    return printable(
        f"{which}: not a finite number in some {where} (NaN is recorded as missing); the sweep optimizes {metric}"
    )


def in_time(outcome: RunOutcome, run: LiveRun, step: Step, limit_s: float | None) -> RunOutcome:
    """Return the outcome of a step, or FAILED if the run would continue beyond its time limit."""
    if limit_s is None or outcome.state is not RunState.RUNNING:
        return outcome
    seconds = run.seconds + sum(report.seconds for report in step.reports if report.epoch > run.epoch)
    epoch, unit = max([run.epoch, *(report.epoch for report in step.reports)]), run.recipe.budget.unit
    found = f"{unit} {epoch} ended"
    if seconds <= limit_s:
        seconds += step.unfinished_s
        found = f"epoch {epoch + 1} had not ended" if unit == "epoch" else f"no report since step {epoch}"
    if seconds <= limit_s:
        return outcome
    return RunOutcome(RunState.FAILED, outcome.value, f"time limit: {found} after {seconds:.0f} s of {limit_s:g} s")


def over_time(limit_s: float, run: LiveRun, quiet_s: float) -> str:
    """Return the error of a run whose worker does not report in time."""
    before, unit = run.seconds + run.unfinished_s, run.recipe.budget.unit
    return (
        f"time limit: no report for {quiet_s:.0f} s after {unit} {run.epoch}; with the {before:.0f} s before, that"
        f" is more than {limit_s:g} s; its worker was stopped"
    )


def printable(text: str) -> str:
    """Return a text that any database accepts: errors of user code may contain NUL or unpaired surrogates."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _no_metric(name: str, report: EpochReport, unit: str) -> str:
    return printable(f"{unit} {report.epoch} reported no {name!r}; it reported {_listed(report.metrics)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
