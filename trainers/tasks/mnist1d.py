"""Task ``mnist1d``: the standard 4,000 + 1,000 signals and a small multilayer perceptron."""

from __future__ import annotations

from torch import nn

from search_spaces.recipe import Recipe
from trainers.models.mlp import MLP
from trainers.tasks.signals import CLASSES, LENGTH, signals
from trainers.tasks.task import Data, Split, carve

_TEST_FROM = 4000
_VAL = 800


class Mnist1d:
    """Train 3,200, val 800 (carved by the split seed), test the 1,000 that the authors hold out."""

    classes = CLASSES

    def data(self, seed: int) -> Data:
        """Return the three splits."""
        every = signals()
        train, val = carve(Split(every.inputs[:_TEST_FROM], every.targets[:_TEST_FROM]), _VAL, seed)
        return Data(train, val, Split(every.inputs[_TEST_FROM:], every.targets[_TEST_FROM:]))

    def model(self, recipe: Recipe) -> nn.Module:
        """Return two hidden layers of 128 units."""
        return MLP(LENGTH, (128, 128), CLASSES, recipe.regularization.dropout)
