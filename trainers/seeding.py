"""Named random streams: one seed per purpose, so that no switch of a recipe moves another's numbers.

State is only ever captured between epochs, and every stream is a pure function of (seed, purpose, epoch). So
a checkpoint stores the position and no generator state at all, and an epoch that is repeated after a crash
draws exactly what it drew before.

The driver derives the seeds of its runs here: nothing is imported from torch before a stream is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Purpose = Literal["split", "init", "order", "augment", "dropout"]


def derive_seed(*parts: str | int) -> int:
    """Hash names and numbers into one seed.

    Args:
        parts: What the seed belongs to, such as ``(seed, "order", epoch)``. ``1`` and ``"1"`` are different
            parts, and no two sequences of parts are joined into the same text.

    Returns:
        An integer in ``[0, 2**63)``: the range that torch, numpy and a signed SQL column all accept.
        It is the same in every process, on every platform and in every release.
    """
    kinds = ("text" if isinstance(part, str) else "number" for part in parts)
    text = "".join(f"{kind}:{len(str(part))}:{part};" for kind, part in zip(kinds, parts, strict=True))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: Purpose, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose in one epoch (0 for what happens once per training)."""
    import torch  # the driver imports this file and must not load torch

    return torch.Generator().manual_seed(derive_seed(seed, purpose, epoch))


@contextmanager
def global_stream(seed: int, purpose: Literal["init", "dropout"], epoch: int = 0) -> Iterator[None]:
    """Seed torch's global generators inside the block, and give the caller's states back afterwards.

    Initialisers and dropout take their numbers from the global generators. With the states put back, two
    trainings that take turns in one process disturb neither each other nor their caller.
    """
    import torch  # the driver imports this file and must not load torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, purpose, epoch))
        yield
