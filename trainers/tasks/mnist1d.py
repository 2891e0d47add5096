"""Task ``mnist1d``: the standard 4,000 + 1,000 signals and a small model of any kind."""

from __future__ import annotations

from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from trainers.models.build import Signals, build_model
from trainers.task import Data, Split, carve
from trainers.tasks.mnist1d_data import CLASSES, LENGTH, signals

_TEST_FROM = 4000


class Mnist1d:
    """Train 3,200, val 800 (carved by the split seed), test the 1,000 that the authors hold out.

    Args:
        val: Signals of ``val``; ``train`` has the rest of the 4,000.

    Raises:
        UsageError: Nothing would be left of one of them.
    """

    classes = CLASSES

    def __init__(self, val: int = 800) -> None:
        if not 0 < val < _TEST_FROM:
            raise UsageError(f"task mnist1d: val must be from 1 to {_TEST_FROM - 1}, found {val}")
        self._val = val

    def data(self, seed: int) -> Data:
        """Return the three splits."""
        every = signals()
        train, val = carve(Split(every.inputs[:_TEST_FROM], every.targets[:_TEST_FROM]), self._val, seed)
        return Data(train, val, Split(every.inputs[_TEST_FROM:], every.targets[_TEST_FROM:]))

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the recipe's model: two hidden layers of 128 units, unless it says otherwise."""
        return build_model(recipe, Signals(LENGTH), CLASSES, default="mlp")
