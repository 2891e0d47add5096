"""Generate MNIST-1D signals (Greydanus & Kobak, "Scaling Down Deep Learning with MNIST-1D", 2024).

Nothing is downloaded: ``make_dataset`` of the package mnist1d computes the signals from ten templates.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import torch

from trainers.storage.cache import Arrays, cached_arrays
from trainers.task import Split

CLASSES = 10
LENGTH = 40


@lru_cache
def signals(*overrides: tuple[str, float]) -> Split:
    """Return the signals of one configuration of the generator, in its order; they are cached in this process.

    Args:
        overrides: ``(argument, value)`` pairs for the generator; the defaults of the authors are 5,000 signals from
            seed 42.

    Returns:
        Inputs float32 ``(n, 40)`` with mean 0 and standard deviation 1 over all of them, targets int64 ``(n,)``.
    """
    chosen = dict(overrides)
    key = {"generator": "mnist1d", "version": version("mnist1d"), **chosen}
    arrays = cached_arrays("mnist1d-signals", key, lambda: _generate(chosen))
    # Cloned into torch's own memory: numpy's alignment varies, and a matrix product may round differently with it.
    return Split(torch.from_numpy(arrays["inputs"]).clone(), torch.from_numpy(arrays["targets"]).clone())


def _generate(overrides: Mapping[str, float]) -> Arrays:
    # Imported here because it imports matplotlib and requests, which takes half a second.
    from mnist1d.data import get_dataset_args, make_dataset

    arguments = get_dataset_args()
    for name, value in overrides.items():
        setattr(arguments, name, value)
    with _global_generators_restored():
        made = make_dataset(arguments)
    return {
        "inputs": np.concatenate([made["x"], made["x_test"]]).astype(np.float32),
        "targets": np.concatenate([made["y"], made["y_test"]]).astype(np.int64),
    }


@contextmanager
def _global_generators_restored() -> Iterator[None]:
    """Restore the global generators of numpy and Python, which the generator of the signals seeds."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
