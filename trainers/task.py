"""What a task is: data and a model for it. The loss is cross entropy over the classes.

A user's own is a class with three members, named in a space file as ``package.module:Stripes``::

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
    """Examples that belong together.

    Attributes:
        inputs: ``(n, ...)``, whatever the task's model takes.
        targets: True classes, int64, ``(n,)``.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Tensor) -> Split:
        """Return the examples at ``indices``, in that order."""
        return Split(self.inputs[indices], self.targets[indices])

    def to(self, device: torch.device) -> Split:
        """Return the same examples on a device; the very same tensors when they are there already."""
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """The three splits of a task: selection looks at ``val``; ``test`` is for the end of a full run."""

    train: Split
    val: Split
    test: Split

    def to(self, device: torch.device) -> Data:
        """Return the same splits on a device."""
        return Data(self.train.to(device), self.val.to(device), self.test.to(device))


@runtime_checkable
class Task(Protocol):
    """What a user writes to train something of their own: three members."""

    @property
    def classes(self) -> int:
        """How many classes the targets may name: ``0 .. classes - 1``."""
        ...

    def data(self, seed: int) -> Data:
        """Return the splits.

        Args:
            seed: Of the split stream. It may only move examples between ``train`` and ``val``: ``test`` is
                always the same examples in the same order. The global generators stay untouched.
        """
        ...

    def model(self, recipe: Recipe) -> nn.Module:
        """Return a new model, as initialised: ``(n, ...)`` inputs to ``(n, classes)`` logits.

        It is called with torch's global generator seeded for the initial weights. What a recipe regularizes
        (``recipe.regularization.dropout``) must not change how many numbers are drawn from it.
        """
        ...


def carve(pool: Split, held_out: int, seed: int) -> tuple[Split, Split]:
    """Move ``held_out`` examples, chosen by ``seed``, out of a pool: ``(what remains, what was moved)``."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    return pool.take(order[held_out:]), pool.take(order[:held_out])
