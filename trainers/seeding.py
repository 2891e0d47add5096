"""Named random streams: one seed per purpose, so that no switch of a recipe moves another's numbers.

State is only ever captured between epochs, and every stream is a pure function of (seed, purpose, epoch). So
a checkpoint stores the position and no generator state at all, and an epoch that is repeated after a crash
draws exactly what it drew before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from search_spaces.seeds import derive_seed

Purpose = Literal["split", "init", "order", "augment", "dropout"]


def stream(seed: int, purpose: Purpose, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose in one epoch (0 for what happens once per training)."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, epoch))


@contextmanager
def global_stream(seed: int, purpose: Literal["init", "dropout"], epoch: int = 0, rank: int = 0) -> Iterator[None]:
    """Seed torch's global generators inside the block, and give the caller's states back afterwards.

    Initialisers and dropout take their numbers from the global generators. With the states put back, two
    trainings that take turns in one process disturb neither each other nor their caller. The first of several ranks
    draws what a training in one process would draw; the others draw numbers of their own.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, purpose, epoch, *([rank] if rank else [])))
        yield
