"""Task ``digits``: the 1,797 handwritten digits of 8 x 8 pixels in scikit-learn, and a small CNN."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from search_spaces.recipe.recipe import Recipe
from trainers.models.build import Images, build_model
from trainers.task import Data, Split, carve

_CLASSES = 10
_SIZE = 8
_TEST = 360
_VAL = 287


class Digits:
    """Train 1,150, val 287 (carved by the split seed), test 360 (always the same)."""

    classes = _CLASSES

    def data(self, seed: int) -> Data:
        """Return the three splits."""
        pool, test = _pool_and_test()
        train, val = carve(pool, _VAL, seed)
        return Data(train, val, test)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the recipe's model: two convolutions of 16 and 32 channels, unless it says otherwise."""
        return build_model(recipe, Images(1, _SIZE), _CLASSES, default="cnn")


@cache
def _pool_and_test() -> tuple[Split, Split]:
    """Return all digits in two parts, cut at random once and for all: the file goes writer by writer."""
    from sklearn.datasets import load_digits  # scikit-learn takes a second to import

    images, targets = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images).float().reshape(-1, 1, _SIZE, _SIZE) / 16.0  # pixels are 0 .. 16
    return carve(Split(inputs, torch.from_numpy(targets).long()), _TEST, seed=0)
