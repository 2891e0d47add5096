"""Train a task at all learning rates of a grid at once, each from the same weights and on the same batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from benchmarks.lr_find_tasks import Case
from search_spaces import derive_seed
from trainers.optim.optimizers import build_optimizer
from trainers.optim.schedules import factor
from trainers.seeding import data_order, global_stream, seed_for


class Score(NamedTuple):
    """Accuracy and NLL on `val` after a training; 0 and infinite if it diverged."""

    accuracy: float
    nll: float


class _Stacked(nn.Module):
    """The weights of several models of one kind, each tensor with the models in its first dimension."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        for name, values in weights.items():
            self.register_parameter(name.replace(".", "/"), nn.Parameter(values.detach().clone()))

    @property
    def by_name(self) -> dict[str, Tensor]:
        """The weights by the names that they have in one of the models."""
        return {name.replace("/", "."): values for name, values in self.named_parameters()}


def train_grid(case: Case, rates: Sequence[float], steps: int, seed: int) -> list[Score]:
    """Return the scores of trainings of so many steps with the schedule of the recipe, one for each rate.

    The steps of every optimizer used here are proportional to its learning rate: it makes steps at rate 1, which are
    then multiplied by the rates.
    """
    recipe = case.recipe
    data = case.task.data(seed_for(case.task, derive_seed(seed, "split")))
    with global_stream(seed, "init"):
        model = case.task.model(recipe)
    stacked = _Stacked(stack_module_state([model] * len(rates))[0])
    optimizer = build_optimizer(recipe.optimizer.model_copy(update={"lr": 1.0}), stacked, recipe.groups)
    scale = torch.tensor(rates)
    forward = vmap(lambda weights, inputs: functional_call(model, weights, (inputs,)), in_dims=(0, None))
    size, epoch, waiting = recipe.budget.batch_size, 0, torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if not len(waiting):
            waiting, epoch = data_order(len(data.train), seed, epoch), epoch + 1
        batch, waiting = data.train.take(waiting[:size]), waiting[size:]
        logits = forward(stacked.by_name, batch.inputs)
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.targets.repeat(len(rates)), reduction="sum")
        optimizer.zero_grad()
        (loss / len(batch.targets)).backward()
        before = [values.detach().clone() for values in stacked.parameters()]
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(before, stacked.parameters(), strict=True):
                by = factor(recipe.schedule, step, steps) * scale.view(-1, *[1] * (old.ndim - 1))
                new.copy_(old + by * (new - old))
    return _scores(forward(stacked.by_name, data.val.inputs).detach().double(), data.val.targets)


def _scores(logits: Tensor, targets: Tensor) -> list[Score]:
    found = []
    for one in logits:
        nll = functional.cross_entropy(one, targets).item()
        accuracy = (one.argmax(1) == targets).double().mean().item()
        found.append(Score(accuracy, nll) if math.isfinite(nll) else Score(0.0, math.inf))
    return found
