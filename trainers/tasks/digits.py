"""Task ``digits``: the 1,797 handwritten digits of 8 x 8 pixels in scikit-learn, and a small CNN."""

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
    """1,150 examples in train, 287 in val (chosen by the split seed), 360 in test (always the same)."""

    classes = _CLASSES

    def data(self, seed: int) -> Data:
        """Return the three splits."""
        pool, test = _pool_and_test()
        train, val = carve(pool, _VAL, seed)
        return Data(train, val, test)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the model of the recipe; by default two convolutions with 16 and 32 channels."""
        return build_model(recipe, Images(1, _SIZE), _CLASSES, default="cnn")


@cache
def _pool_and_test() -> tuple[Split, Split]:
    """Return the digits in two parts, split at random but always the same, since the file is sorted by writer."""
    from sklearn.datasets import load_digits  # slow to import

    images, targets = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images).float().reshape(-1, 1, _SIZE, _SIZE) / 16.0  # pixels are 0 .. 16
    return carve(Split(inputs, torch.from_numpy(targets).long()), _TEST, seed=0)
