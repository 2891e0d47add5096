"""Named random streams, one seed per purpose: changing one setting of a recipe never changes another's random numbers.

Every stream is a pure function of (seed, purpose, epoch), so an epoch that is repeated after a crash draws the same
numbers again. A checkpoint between epochs stores no generator state; only one within an epoch does.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch

from search_spaces.seeds import derive_seed

Purpose = Literal["split", "init", "order", "augment", "transform", "dropout", "curvature", "statistics"]


def seed_for(target: object, seed: int) -> int:
    """Return the seed with which a task or a training loop is called.

    numpy, scikit-learn and transformers take seeds below 2**32, so the code of users gets the lowest 32 bits. Built-in
    tasks get all bits, so that they give the same numbers in every release.

    Args:
        target: The task, or the generator function of a loop.
        seed: Seed of up to 63 bits.
    """
    builtin = str(getattr(target, "__module__", None)).startswith("trainers.tasks.")
    return seed if builtin else seed % 2**32


def stream(seed: int, purpose: Purpose, epoch: int = 0, *place: int) -> torch.Generator:
    """Return a new CPU generator for one purpose in one epoch; the epoch is 0 for what happens once per training.

    ``place`` is a place within the epoch, such as the indices of a step and of a micro-batch within it.
    """
    return torch.Generator().manual_seed(derive_seed(seed, purpose, epoch, *place))


def data_order(examples: int, seed: int, epoch: int = 0) -> torch.Tensor:
    """Return the order of the training examples in one epoch: their indices, int64, ``(examples,)``."""
    return torch.randperm(examples, generator=stream(seed, "order", epoch))


@contextmanager
def global_stream(seed: int, purpose: Purpose, epoch: int = 0, rank: int = 0) -> Iterator[None]:
    """Seed torch's global generators inside the block and restore their states afterwards.

    Initialisers and dropout use the global generators. Since the states are restored, trainings that alternate in one
    process affect neither each other nor their caller. The first of several ranks draws the numbers of a single-process
    training; the other ranks draw different numbers.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, purpose, epoch, *([rank] if rank else [])))
        yield


def generator_states(device: torch.device) -> list[torch.Tensor]:
    """Return the states of torch's global generators: that of the CPU, and that of ``device`` if it is a GPU."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def restore_generators(states: Sequence[torch.Tensor], device: torch.device) -> None:
    """Continue torch's global generators from what `generator_states` returned.

    After a change between CPU and GPU, the generator of the GPU has nothing to continue from, or is not used.
    """
    torch.set_rng_state(states[0])
    for state in states[1:] if device.type == "cuda" else ():
        torch.cuda.set_rng_state(state, device)
