"""Run the learning-rate range test on a task: a few hundred steps with an increasing learning rate."""

import time
from collections.abc import Sequence

from search_spaces.recipe.recipe import Recipe
from trainers.sanity.lr_curve import STEPS, LrScan, blown_up, rates, smooth, suggest
from trainers.sanity.probe import Probe, probe_data
from trainers.task import Data, Task

__all__ = ["LrScan", "find_lr", "scan", "suggest"]


def find_lr(task: Task, recipe: Recipe, seed: int, steps: int = STEPS, name: str = "") -> LrScan:
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
    """Scan as `find_lr` does, with data that is already loaded."""
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
