"""Find a learning rate: a range test of a few hundred steps, then short trainings around its suggestion."""

import math
import time
from collections.abc import Iterator, Sequence

from search_spaces.recipe.averaging import NoAverage
from search_spaces.recipe.recipe import Recipe, Signals
from search_spaces.recipe.reported import LOSS
from trainers.loop.training import Training
from trainers.objective import objective_of
from trainers.sanity.lr_curve import (
    STEPS,
    LrPlan,
    LrScan,
    ShortRun,
    after_training,
    blown_up,
    next_rate,
    rates,
    short_steps,
    smooth,
    suggest,
)
from trainers.sanity.probe import Probe, probe_data
from trainers.task import Data, Task

__all__ = ["LrScan", "find_lr", "range_test", "scan", "suggest"]


def find_lr(task: Task, recipe: Recipe, seed: int, name: str = "", quick: bool = False) -> Iterator[LrPlan | LrScan]:
    """Find a learning rate; yield the plan, the range test, and the latter again after each short training.

    Args:
        task: Task with data and model.
        recipe: Recipe to train.
        seed: Seed for all random streams.
        name: Name of the task in the result.
        quick: Whether to omit the short trainings.

    Raises:
        UsageError: This machine cannot train this recipe.
    """
    plan = _plan(task, recipe, seed)
    yield LrPlan(plan.scan_steps, 0, plan.run_steps) if quick else plan
    found = range_test(task, recipe, seed, name=name)
    yield found
    if quick:
        return
    # A deep network may learn nothing in the few steps of a scan that are at a good rate.
    typical = recipe.optimizer.typical_rates()
    start = found.suggestion.lr if found.suggestion else math.sqrt(typical.low * typical.high)
    runs: list[ShortRun] = []
    while (lr := next_rate(start, runs)) is not None:
        runs.append(ShortRun(lr, _short_loss(task, _shortened(recipe, plan, lr), seed)))
        yield after_training(found, plan, runs)


def _plan(task: Task, recipe: Recipe, seed: int) -> LrPlan:
    data = probe_data(recipe, task, seed)
    try:
        budget = recipe.budget
        per_unit = Probe(recipe, task, data, seed).steps_per_epoch if budget.unit == "epoch" else 1
    finally:
        data.close()
    return LrPlan(STEPS, short_steps(budget.length * per_unit), budget.length * per_unit)


def _shortened(recipe: Recipe, plan: LrPlan, lr: float) -> Recipe:
    """Return the recipe of a short training: the same with fewer steps, its schedule included."""
    steps, schedule = plan.short_steps, recipe.schedule
    warmup = getattr(schedule, "warmup_steps", None)
    if warmup is not None:
        schedule = schedule.model_copy(update={"warmup_steps": round(warmup * steps / plan.run_steps)})
    return recipe.model_copy(
        update={
            "optimizer": recipe.optimizer.model_copy(update={"lr": lr}),
            "schedule": schedule,
            "budget": recipe.budget.model_copy(update={"epochs": None, "steps": steps, "report_every": steps}),
            "averaging": NoAverage(),
            "signals": Signals(),
            "precision": recipe.precision.model_copy(update={"compile": False}),  # it takes longer than so few steps
        }
    )


def _short_loss(task: Task, recipe: Recipe, seed: int) -> float | None:
    """Return the loss on `val` at the end of a training; None if it diverged."""
    training = Training(recipe, task, seed)
    try:
        report = training.advance(recipe.budget.length)
    finally:
        training.close()
    name = "nll" if objective_of(task).loss is None else LOSS
    loss = math.nan if report is None else report.metrics[f"val/{name}"]
    return loss if report is not None and report.finite and math.isfinite(loss) else None


def range_test(task: Task, recipe: Recipe, seed: int, steps: int = STEPS, name: str = "") -> LrScan:
    """Scan the learning rates of a recipe on a task.

    Args:
        task: Task with data and model.
        recipe: Recipe to train; its schedule, optimizer switch and averaging are ignored.
        seed: Seed for all random streams.
        steps: Number of optimizer steps from the lowest rate to the highest.
        name: Name of the task in the result.

    Raises:
        UsageError: This machine cannot train this recipe.
    """
    data = probe_data(recipe, task, seed)
    try:
        return scan(task, recipe, data, seed, steps, name)
    finally:
        data.close()


def scan(task: Task, recipe: Recipe, data: Data, seed: int, steps: int = STEPS, name: str = "") -> LrScan:
    """Scan as `range_test` does, with data that is already loaded."""
    began = time.perf_counter()
    probe = Probe(recipe, task, data, seed)
    lrs = rates(steps)

    def stop(losses: Sequence[float]) -> bool:
        return blown_up(smooth(losses))

    losses = probe.train(lrs, stop)
    return LrScan(
        task=name or type(task).__name__,
        optimizer=recipe.optimizer.kind,
        recipe_lr=recipe.optimizer.lr,
        lrs=tuple(lrs[: len(losses)]),
        losses=tuple(losses),
        smoothed=tuple(smooth(losses)),
        suggestion=suggest(lrs[: len(losses)], losses),
        seconds=time.perf_counter() - began,
    )
