"""Tasks whose data is in memory, in a dataset, or in an iterable of batches, with the same examples."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from search_spaces.recipe.recipe import Recipe
from trainers.task import Examples
from trainers.tasks import Data, DatasetSplit, IterableSplit, Split

Wrap = Callable[[Tensor, Tensor], Examples]


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Adds noise from all three global generators to each item, and records which items this process has loaded."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.loaded.append(index)
        noise = 0.1 * torch.randn(6) + 0.1 * np.random.rand() + 0.1 * random.random()
        return self.inputs[index] + noise, self.targets[index]


class Blobs:
    """70 examples of three Gaussian blobs in 6 dimensions, and an MLP with BatchNorm and dropout."""

    classes = 3

    def __init__(self, wrap: Wrap = Split) -> None:
        self._wrap = wrap

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(99)
        targets = torch.randint(0, 3, (130,), generator=generator)
        inputs = torch.randn(130, 6, generator=generator) + torch.eye(3, 6)[targets]
        order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
        parts = order[:70], order[70:], torch.arange(100, 130)
        return Data(*(self._wrap(inputs[part], targets[part]) for part in parts))

    def model(self, recipe: Recipe) -> nn.Module:
        norm, dropout = nn.BatchNorm1d(8), nn.Dropout(recipe.regularization.dropout)
        return nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), dropout, nn.Linear(8, 3))


def plain(workers: int) -> Wrap:
    """The tensors as a dataset."""
    return lambda inputs, targets: DatasetSplit(TensorDataset(inputs, targets), workers=workers)


def noisy(workers: int) -> Wrap:
    return lambda inputs, targets: DatasetSplit(Noisy(inputs, targets), workers=workers)


def shuffled(inputs: Tensor, targets: Tensor) -> IterableSplit:
    """A DataLoader of the user's own, with an order of its own in every epoch."""
    return IterableSplit(DataLoader(Noisy(inputs, targets), batch_size=16, shuffle=True))


class Noise(Blobs):
    """A task over noisy items that two workers load."""

    def __init__(self, workers: int = 2) -> None:
        super().__init__(noisy(workers))


class Shuffled(Blobs):
    """A task over a DataLoader of its own."""

    def __init__(self) -> None:
        super().__init__(shuffled)
