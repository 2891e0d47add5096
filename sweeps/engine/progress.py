"""Counts the progress of a sweep for the live view, `sweeps status` and the summary."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, TypeVar

from search_spaces import (
    AblationSpec,
    SpaceSpec,
)
from search_spaces.recipe.reported import Goal
from sweeps.plan.ablation_plan import AblationTable
from sweeps.plan.asha import rung_epochs
from sweeps.run_state import RunState


class RunLike(Protocol):
    """A run in memory or from the database."""

    @property
    def number(self) -> int: ...

    @property
    def state(self) -> RunState: ...

    @property
    def epoch(self) -> int: ...

    @property
    def value(self) -> float | None: ...


AnyRun = TypeVar("AnyRun", bound=RunLike)


@dataclass(frozen=True)
class Progress:
    """Progress of a sweep or an ablation.

    Attributes:
        name: Name of the sweep.
        metric: Name of the metric.
        states: Number of runs by state, without planned runs that have not begun.
        total: Number of planned runs.
        best: ``(number, value)`` of the best complete run.
        baseline: Latest value of run 0 and its epoch.
        survivors: ``(rung, runs that reached it, runs that it did not stop)`` for each rung.
        epochs_spent: Number of epochs trained so far.
        epochs_saved: Number of epochs that stopped runs did not train.
        budget: Number of epochs of a full run.
        unit: What is counted as epochs: "epoch", or "step" for a command with a budget of steps.
        eta_s: Estimated seconds to the end; None before there is an estimate.
        pairs: In an ablation, `(pairs complete in every arm, planned pairs)`; it has no best run and no baseline.
    """

    name: str
    metric: str
    states: Mapping[RunState, int]
    total: int
    best: tuple[int, float] | None
    baseline: tuple[float, int] | None
    survivors: tuple[tuple[int, int, int], ...]
    epochs_spent: int
    epochs_saved: int
    budget: int
    unit: str
    eta_s: float | None
    pairs: tuple[int, int] | None = None

    @property
    def finished(self) -> int:
        """Number of runs that have ended, in any state."""
        return sum(count for state, count in self.states.items() if state.finished)


def sweep_progress(spec: SpaceSpec, runs: Sequence[RunLike], eta_s: float | None = None) -> Progress:
    """Return the progress of a sweep.

    Args:
        spec: The space.
        runs: Runs by number.
        eta_s: Estimated seconds to the end, if known.
    """
    budget = spec.recipe.budget.length
    best = best_run(runs, spec.metric.goal)
    baseline = runs[0] if runs else None
    rungs = rung_epochs(spec.early_stopping, spec.recipe.budget)
    return Progress(
        name=spec.name,
        metric=spec.metric.name,
        states=Counter(run.state for run in runs),
        total=max(spec.runs, len(runs)),
        best=None if best is None or best.value is None else (best.number, best.value),
        baseline=(baseline.value, baseline.epoch) if baseline and baseline.value is not None else None,
        survivors=tuple(_survivors(runs, rung, after) for rung, after in pairwise([*rungs, math.inf])),
        epochs_spent=sum(run.epoch for run in runs),
        epochs_saved=sum(budget - run.epoch for run in runs if run.state is RunState.STOPPED),
        budget=budget,
        unit=spec.recipe.budget.unit,
        eta_s=eta_s,
    )


def best_run(runs: Sequence[AnyRun], goal: Goal) -> AnyRun | None:
    """Return the complete run with the best value; of equal ones, the earliest."""
    complete = [run for run in runs if run.state is RunState.COMPLETE and run.value is not None]
    sign = 1 if goal == "minimize" else -1
    return min(complete, key=lambda run: (sign * (run.value or 0.0), run.number), default=None)


def _survivors(runs: Sequence[RunLike], rung: float, after: float) -> tuple[int, int, int]:
    reached = [run for run in runs if run.epoch >= rung]
    stopped = sum(run.state is RunState.STOPPED and run.epoch < after for run in reached)  # a command may report later
    return int(rung), len(reached), len(reached) - stopped


def ablation_progress(
    spec: AblationSpec, runs: Sequence[RunLike], eta_s: float | None = None, total: int | None = None
) -> Progress:
    """Return the progress of an ablation.

    Args:
        spec: The ablation.
        runs: Runs by number.
        eta_s: Estimated seconds to the end, if known.
        total: Number of runs, if a look may have ended the ablation early; by default all runs of the spec.
    """
    table = AblationTable(spec)
    total = table.until(spec.pairs) if total is None else total
    complete = {run.number for run in runs if run.state is RunState.COMPLETE}
    planned = (total - table.tries) // table.per_pair
    starts = [table.until(pair) for pair in range(planned)]
    done = sum(complete.issuperset(range(start, start + table.per_pair)) for start in starts)
    # An ablation stops no run early and has no best run: its arms are compared in the report.
    plain = sweep_progress(spec.space, runs, eta_s)
    return replace(plain, total=total, best=None, baseline=None, pairs=(done, planned))
