"""Task ``mnist1d``: the standard data set of 4,000 + 1,000 signals, and a small model of any kind."""

from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from trainers.models.build import Signals, build_model
from trainers.task import Data, Split, carve
from trainers.tasks.mnist1d_data import CLASSES, LENGTH, signals

_TEST_FROM = 4000


class Mnist1d:
    """3,200 signals in train, 800 in val (chosen by the split seed), the 1,000 that the authors hold out in test.

    Args:
        val: Number of signals in ``val``; ``train`` has the rest of the 4,000.

    Raises:
        UsageError: ``train`` or ``val`` would be empty.
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
        """Return the model of the recipe; by default two hidden layers of 128 units."""
        return build_model(recipe, Signals(LENGTH), CLASSES, default="mlp")
