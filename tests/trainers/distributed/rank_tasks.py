"""Tasks of test_distributed_training.py; every process imports them by name."""

from __future__ import annotations

import os
import time

import torch
from torch import distributed, nn

from search_spaces.recipe.recipe import Recipe
from trainers.tasks import Data, Split


class Blobs:
    """70 examples of three Gaussian blobs in 6 dimensions, and an MLP with a layer that some steps do not use."""

    classes = 3

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(99)
        targets = torch.randint(0, 3, (130,), generator=generator)
        inputs = torch.randn(130, 6, generator=generator) + torch.eye(3, 6)[targets]
        order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
        every = Split(inputs, targets)
        return Data(every.take(order[:70]), every.take(order[70:]), every.take(torch.arange(100, 130)))

    def model(self, recipe: Recipe) -> nn.Module:
        return Net(recipe.regularization.dropout)


class Net(nn.Module):
    """Counts its forward passes in a buffer, and uses one of its layers only when a batch is small."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout))
        self.sometimes = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
        self.passes: torch.Tensor
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.body(inputs)
        if self.training:
            self.passes += 1
        if len(inputs) < 8:
            hidden = self.sometimes(hidden)
        logits: torch.Tensor = self.head(hidden)
        return logits


class Printing(Blobs):
    """Prints in every process."""

    def model(self, recipe: Recipe) -> nn.Module:
        print("a model of one of", distributed.get_world_size())
        return super().model(recipe)


class TooLarge(Blobs):
    """Needs more memory than the second process has."""

    def model(self, recipe: Recipe) -> nn.Module:
        if distributed.get_rank() == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().model(recipe)


class Seeing(Blobs):
    """Prints in every process what CUDA would see."""

    def model(self, recipe: Recipe) -> nn.Module:
        print("CUDA sees", [os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUBLAS_WORKSPACE_CONFIG"]])
        return super().model(recipe)


class Plain(Blobs):
    """The same without the buffer, which counts differently in one process and in two."""

    def model(self, recipe: Recipe) -> nn.Module:
        net = Net(recipe.regularization.dropout)
        del net.passes
        net.passes = 0
        return net


class SecondRankRaises(Blobs):
    def model(self, recipe: Recipe) -> nn.Module:
        return _Failing(super().model(recipe), "raise")


class Slow(Blobs):
    def model(self, recipe: Recipe) -> nn.Module:
        return _Failing(super().model(recipe), "sleep")


def loop(config, seed, state=None):
    yield {"val/x": 1.0}


class Normed(Blobs):
    """A model with BatchNorm."""

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


class _Failing(nn.Module):
    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how, self.left = inner, how, 4

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.left -= self.training
        if self.left < 0 and self.how == "sleep":
            time.sleep(600)
        if self.left < 0 and distributed.get_rank() == 1:
            raise ValueError("the second rank's mistake")
        logits: torch.Tensor = self.inner(inputs)
        return logits
