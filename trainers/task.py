"""The protocol of a task: data and a model. With ``classes``, the loss is the cross entropy over them.

A user's own task is a class, named in a space file as ``package.module:Stripes``. A loss and metrics of its own are
optional members, see `objective.py`. This task is a classifier::

    import torch
    from trainers.tasks import Data, Split

    class Stripes:
        # Is the sum of a vector's first half larger than that of its last?
        classes = 2

        def data(self, seed):
            inputs = torch.randn(900, 8, generator=torch.Generator().manual_seed(0))
            every = Split(inputs, (inputs[:, :4].sum(1) > inputs[:, 4:].sum(1)).long())
            pool = torch.randperm(600, generator=torch.Generator().manual_seed(seed))
            return Data(every.take(pool[:400]), every.take(pool[400:]), every.take(torch.arange(600, 900)))

        def model(self, recipe):
            hidden = recipe.custom.get("hidden", 16)
            return torch.nn.Sequential(
                torch.nn.Linear(8, hidden),
                torch.nn.ReLU(),
                torch.nn.Dropout(recipe.regularization.dropout),
                torch.nn.Linear(hidden, 2),
            )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from search_spaces.recipe.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Split:
    """Examples of one split.

    Attributes:
        inputs: Inputs of the model, ``(n, ...)``.
        targets: Targets, ``(n, ...)``; of a classifier, the true classes, int64, ``(n,)``.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Tensor) -> Split:
        """Return the examples at ``indices``, in that order."""
        return Split(self.inputs[indices], self.targets[indices])

    def to(self, device: torch.device) -> Split:
        """Return the same examples on a device, without a copy if they are already there."""
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """The splits of a task: ``val`` is used for selection, ``test`` only at the end of a full run.

    Without a ``test``, ablations compare on ``val``.
    """

    train: Split
    val: Split
    test: Split | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, without a ``test`` that is missing."""
        tested = {} if self.test is None else {"test": self.test}
        return {"train": self.train, "val": self.val, **tested}

    def to(self, device: torch.device) -> Data:
        """Return the same splits on a device."""
        return Data(**{name: split.to(device) for name, split in self.splits.items()})


@runtime_checkable
class Task(Protocol):
    """Interface of a task. It also has ``classes``, a ``loss`` or both; for these, see `objective.py`."""

    def data(self, seed: int) -> Data:
        """Return the splits.

        Args:
            seed: Seed of the split, below 2**32 for a user's own task. It may only move examples between ``train`` and
                ``val``: ``test`` always contains the same examples in the same order. Global generators must not be
                used.
        """
        ...

    def model(self, recipe: Recipe) -> nn.Module:
        """Return a new model with its initial weights; it maps inputs ``(n, ...)`` to outputs ``(n, ...)``.

        The outputs of a classifier are logits ``(n, classes)``.

        torch's global generator is seeded for the initial weights before the call. The regularization of the recipe
        (``recipe.regularization.dropout``) must not change how many numbers are drawn from it.
        """
        ...


def carve(pool: Split, held_out: int, seed: int) -> tuple[Split, Split]:
    """Split a pool at random by ``seed``; return ``(rest, held out)``, with ``held_out`` examples held out."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    return pool.take(order[held_out:]), pool.take(order[:held_out])


def evenly_spaced(split: Split, most: int) -> Split:
    """Return at most ``most`` examples of a split, evenly spaced."""
    count = min(len(split), most)
    return split.take(torch.arange(count, device=split.targets.device) * len(split) // count)


def describe_tensor(tensor: Tensor) -> str:
    """Return the type and shape of a tensor for an error message: ``float32 (2, 3)``."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
