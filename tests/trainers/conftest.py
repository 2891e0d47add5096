from dataclasses import dataclass

import pytest
import torch
from torch import nn

from search_spaces.recipe.recipe import Recipe
from trainers.tasks import Data, Split


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@dataclass
class Blobs:
    """Three Gaussian blobs in 6 dimensions and an MLP: an epoch takes a millisecond or two."""

    classes: int = 3
    train: int = 70

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(99)
        n = self.train + 60
        targets = torch.randint(0, 3, (n,), generator=generator)
        inputs = torch.randn(n, 6, generator=generator) + torch.eye(3, 6)[targets]
        order = torch.randperm(self.train + 30, generator=torch.Generator().manual_seed(seed))
        every = Split(inputs, targets)
        tail = torch.arange(self.train + 30, n)
        return Data(every.take(order[: self.train]), every.take(order[self.train :]), every.take(tail))

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(recipe.regularization.dropout), nn.Linear(8, 3))


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()
