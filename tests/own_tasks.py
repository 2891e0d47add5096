"""Tasks with a loss of their own, small enough for a sweep within seconds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.recipe.recipe import Recipe
from trainers.tasks import Data, Split


def _divided(every: Split, seed: int, test: bool = True) -> Data:
    """The last fifth of the examples is ``test``, a quarter of the others ``val``."""
    pool = len(every) * 4 // 5
    order = torch.randperm(pool, generator=torch.Generator().manual_seed(seed))
    rest = every.take(torch.arange(pool, len(every)))
    return Data(every.take(order[pool // 4 :]), every.take(order[: pool // 4]), rest if test else None)


class Line:
    """Regression: two numbers that are linear functions of four, with noise."""

    goals: Mapping[str, str] = {"mae": "minimize", "r2": "maximize"}

    def __init__(self, test: bool = True) -> None:
        self._test = test

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(150, 4, generator=generator)
        noise = 0.1 * torch.randn(150, 2, generator=generator)
        weights = torch.tensor([[1.0, 0.0], [-2.0, 1.0], [0.5, 3.0], [0.0, 1.0]])
        return _divided(Split(inputs, inputs @ weights + noise), seed, self._test)

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(recipe.regularization.dropout), nn.Linear(8, 2))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs, targets, reduction="none").mean(1)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, object]:
        left = (outputs - targets).square().sum() / (targets - targets.mean(0)).square().sum()
        return {"mae": (outputs - targets).abs().mean(), "r2": 1.0 - left.item()}


class MeanLine(Line):
    """The same with the mean over a batch as its loss."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs, targets)


class NoisyLine(Line):
    """The same with an augmentation."""

    def augment(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return inputs + 0.1 * torch.randn(inputs.shape, generator=generator), targets


class Labels:
    """Multi-label: three labels, each of which is true or not."""

    goals: Mapping[str, str] = {"exact": "maximize"}

    def data(self, seed: int) -> Data:
        inputs = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
        return _divided(Split(inputs, (inputs > 0).float()), seed)

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Linear(3, 3)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {"exact": ((outputs > 0) == (targets > 0.5)).all(1).double().mean().item()}


class Weighted:
    """A classifier with class weights."""

    classes = 2
    weights = torch.tensor([1.0, 3.0])

    def data(self, seed: int) -> Data:
        inputs = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
        return _divided(Split(inputs, (inputs.sum(1) > 1).long()), seed)

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Linear(3, 2)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets, weight=self.weights, reduction="none")
