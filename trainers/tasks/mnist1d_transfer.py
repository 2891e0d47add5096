"""Task ``mnist1d_transfer``: fine-tune a pretrained CNN on 500 signals of a shifted distribution.

The target signals have more noise and stronger scaling and shearing than the signals of the pretraining. Training the
same CNN from scratch on the 500 signals reaches half of the accuracy of fine-tuning.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Precision, Recipe, Regularization
from search_spaces.recipe.schedules import Cosine
from trainers.loop.training import Training
from trainers.models.build import refuse_other_models
from trainers.models.cnn2d import CNN1d
from trainers.storage.cache import Arrays, cached_arrays
from trainers.task import Data, Split
from trainers.tasks.mnist1d_data import CLASSES, LENGTH, signals

SOURCE = (("seed", 1), ("num_samples", 8000))
TARGET = (
    ("seed", 7),
    ("num_samples", 3500),
    ("corr_noise_scale", 0.35),
    ("scale_coeff", 0.6),
    ("shear_scale", 1.2),
)
PRETRAINING = Recipe(
    optimizer=AdamW(lr=3e-3, weight_decay=0.01),
    schedule=Cosine(warmup=0.1),
    regularization=Regularization(dropout=0.1, clip_norm=1.0),
    budget=Budget(epochs=15, batch_size=64),
    precision=Precision(device="cpu"),  # the same weights on machines with and without a GPU
)
PRETRAINING_SEED = 1

_CHANNELS = 32
# Part of the cache key: increase it when a change of the model or the training changes the weights.
_WEIGHTS_VERSION = 2


class Mnist1dTransfer:
    """500 signals in train, 1,000 in val, 2,000 in test: fixed splits. Seeds change only data order and dropout."""

    classes = CLASSES

    def data(self, seed: int) -> Data:
        """Return the three splits, the same for every seed."""
        return _cut(signals(*TARGET), 500, 1500, 3500)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the CNN with its pretrained weights, including the output layer, since the classes are the same."""
        refuse_other_models(recipe, "the network of mnist1d_transfer is pretrained")
        model = _cnn(recipe)
        model.load_state_dict(pretrained_weights())
        return model


class Mnist1dSource:
    """Task of the pretraining: 7,600 signals in train, 200 in val, 200 in test; fixed splits."""

    classes = CLASSES

    def data(self, seed: int) -> Data:
        """Return the three splits, the same for every seed."""
        return _cut(signals(*SOURCE), 7600, 7800, 8000)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the CNN with its initial weights."""
        return _cnn(recipe)


@cache
def pretrained_weights() -> dict[str, Tensor]:
    """Return the state dict of the pretrained CNN, from the cache or by training on ``Mnist1dSource``."""
    key = {
        "recipe": PRETRAINING.model_dump(mode="json"),
        "seed": PRETRAINING_SEED,
        "source": SOURCE,
        "channels": _CHANNELS,
        "torch": torch.__version__,
        "version": _WEIGHTS_VERSION,
    }
    arrays = cached_arrays("mnist1d-cnn", key, _pretrain)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _pretrain() -> Arrays:
    training = Training(PRETRAINING, Mnist1dSource(), PRETRAINING_SEED)
    with _one_thread():
        while not training.finished:
            training.run_epoch()
    return {name: tensor.numpy(force=True) for name, tensor in training.model.state_dict().items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread inside the block, so that the weights do not depend on the process that builds the cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _cnn(recipe: Recipe) -> nn.Module:
    return CNN1d(LENGTH, _CHANNELS, CLASSES, recipe.regularization.dropout)


def _cut(every: Split, *ends: int) -> Data:
    """Divide signals, which the generator has shuffled, into consecutive splits that end at ``ends``."""
    starts = (0, *ends)
    pieces = [Split(every.inputs[a:b], every.targets[a:b]) for a, b in zip(starts, ends, strict=False)]
    return Data(*pieces)
