"""Random numbers of code that loads data: they depend on what is loaded, and on nothing that is trained meanwhile.

Only generators on the CPU are seeded: torch's, numpy's and that of ``random``.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_States = tuple[torch.Tensor, dict[str, Any], tuple[Any, ...]]


def seed_generators(seed: int) -> None:
    """Seed the global generators of torch on the CPU, numpy and ``random``."""
    # Not torch.manual_seed, which would seed the GPU, too, from which dropout draws.
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


class Generators:
    """Global generators of their own for some code, which continue where they were when it runs again.

    Args:
        seed: Seed of these generators.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states: _States | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Use these generators inside the block; those before are restored afterwards."""
        before = _states()
        if self._states is None:
            seed_generators(self._seed)
        else:
            _restore(self._states)
        try:
            yield
        finally:
            self._states = _states()
            _restore(before)


def _states() -> _States:
    legacy: dict[str, Any] = np.random.get_state(legacy=False)
    return torch.get_rng_state(), legacy, random.getstate()


def _restore(states: _States) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
