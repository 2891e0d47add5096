"""Measure the cost of an epoch's gradient signals: the time of training with them relative to without them.

    python benchmarks/signals_cost.py

Without them, the gradient norm is still measured, because clipping needs it. The two trainings alternate, and the
fastest epoch of each counts, because other processes can only add time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from trainers.loop import training as training_module
from trainers.loop.gradient_stats import GradientStats
from trainers.loop.training import Training
from trainers.task_lookup import load_target

EPOCHS = 30


class NormOnly(GradientStats):
    """The part that gradient clipping needs."""

    def gradient(self) -> Tensor:
        return nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])

    @contextmanager
    def update(self, step: int) -> Iterator[None]:
        yield

    def metrics(self, skips_steps: bool) -> dict[str, float]:
        return {}


def cost(task: str) -> float:
    recipe = Recipe(regularization=Regularization(clip_norm=1.0), budget=Budget(epochs=2 * EPOCHS))
    seconds: dict[type[GradientStats], list[float]] = {GradientStats: [], NormOnly: []}
    trainings = {kind: Training(recipe, load_target(task), 0) for kind in seconds}
    for _ in range(EPOCHS):
        for kind, training in trainings.items():
            training_module.GradientStats = kind
            started = time.perf_counter()
            training._train_epoch()
            seconds[kind].append(time.perf_counter() - started)
    return min(seconds[GradientStats]) / min(seconds[NormOnly]) - 1


def main() -> None:
    torch.set_num_threads(1)
    for task in ("digits", "mnist1d", "mnist1d_transfer"):
        print(f"{task}: signals add {cost(task):+.1%} to the time of training")


if __name__ == "__main__":
    main()
