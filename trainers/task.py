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

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from search_spaces.recipe.recipe import Budget, Recipe
from trainers.compute.batches import split_batches, split_steps
from trainers.nested import Inputs, map_tensors
from trainers.seeding import data_order


@dataclass(frozen=True)
class EpochPlan:
    """What the batches of one epoch depend on.

    Attributes:
        budget: Number of examples per micro-batch, and of micro-batches per optimizer step.
        seed: Seed of the run.
        epoch: Index of the epoch, from 0.
        at_least_two: Whether a single last example joins the batch before it.
        owns: Returns whether this process trains on the micro-batch with a number in its step.
    """

    budget: Budget
    seed: int
    epoch: int
    at_least_two: bool
    owns: Callable[[int], bool] = lambda _: True


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """One micro-batch of an optimizer step.

    Attributes:
        size: Number of examples.
        load: Returns the examples on the device; it is called once, in the order of the micro-batches.
    """

    size: int
    load: Callable[[], Split]


class EpochSteps(ABC):
    """The optimizer steps of one epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of optimizer steps."""

    @property
    @abstractmethod
    def examples(self) -> int:
        """Number of examples of all steps, once the last step is loaded."""

    @abstractmethod
    def after(self, done: int) -> Iterator[Sequence[MicroBatch]]:
        """Return the micro-batches of each step after the first ``done``; call this once."""


class Examples(ABC):
    """Examples of one split, in memory or loaded batch by batch."""

    device: torch.device
    targets: Tensor
    """Targets of all examples in order, ``(n, ...)``, on the device."""
    evaluation_batch: int = sys.maxsize
    """Largest number of examples in a batch of an evaluation."""

    @property
    @abstractmethod
    def examples(self) -> int:
        """Number of examples; an estimate if batches are loaded whose sizes are unknown."""

    @abstractmethod
    def to(self, device: torch.device) -> Examples:
        """Return the same examples on a device, or what loads them to it."""

    @abstractmethod
    def order(self, seed: int) -> Tensor:
        """Return the order of the examples in the first epoch, int64."""

    @abstractmethod
    def sample(self, least: int) -> Split:
        """Return at least ``least`` examples, or all, always the same: to find out what inputs look like."""

    @abstractmethod
    def draw(self, most: int, seed: int) -> Split:
        """Return at most ``most`` examples: the first of the order of a seed."""

    @abstractmethod
    def evenly_spaced(self, most: int) -> Examples:
        """Return at most ``most`` examples, evenly spaced; the first ones if they can only be passed in order."""

    @abstractmethod
    def in_order(self, size: int, at_least_two: bool = False) -> Iterator[Split]:
        """Return the batches of a pass over all examples in order.

        Args:
            size: Number of examples per batch; the last one may be smaller.
            at_least_two: Whether a single last example joins the batch before it.
        """

    @abstractmethod
    def epoch_steps(self, plan: EpochPlan) -> EpochSteps:
        """Return the optimizer steps of an epoch of training."""

    def close(self) -> None:
        """End the processes that load the examples; they start again when they are needed."""
        return


@dataclass(frozen=True, eq=False)
class Split(Examples):
    """Examples of one split, in memory; they are moved to the device as a whole.

    Attributes:
        inputs: Inputs of the model, ``(n, ...)``, or a dict, tuple or list of them; the model is called with the
            structure.
        targets: Targets, ``(n, ...)``; of a classifier, the true classes, int64, ``(n,)``.
    """

    inputs: Inputs
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # it follows from the tensors
        """Device of the examples."""
        return self.targets.device

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.targets)

    def take(self, indices: Tensor) -> Split:
        """Return the examples at ``indices``, in that order."""
        return Split(map_tensors(lambda tensor: tensor[indices], self.inputs), self.targets[indices])

    def to(self, device: torch.device, non_blocking: bool = False) -> Split:
        """Return the same examples on a device, without a copy if they are already there."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return Split(map_tensors(move, self.inputs), move(self.targets))

    def order(self, seed: int) -> Tensor:
        """Return the order of the examples in the first epoch, int64, ``(n,)``."""
        return data_order(len(self), seed)

    def sample(self, least: int) -> Split:
        """Return all examples."""
        return self

    def draw(self, most: int, seed: int) -> Split:
        """Return at most ``most`` examples: the first of the order of a seed."""
        return self.take(self.order(seed)[:most].to(self.device))

    def evenly_spaced(self, most: int) -> Split:
        """Return at most ``most`` examples, evenly spaced."""
        return self.take(spaced_indices(len(self), most).to(self.device))

    def in_order(self, size: int, at_least_two: bool = False) -> Iterator[Split]:
        """Return the batches of a pass over all examples in order, without copies."""
        for part in split_batches(torch.arange(len(self)), size, at_least_two):
            cut = itemgetter(slice(int(part[0]), int(part[-1]) + 1))
            yield Split(map_tensors(cut, self.inputs), cut(self.targets))

    def epoch_steps(self, plan: EpochPlan) -> EpochSteps:
        """Return the optimizer steps of an epoch, in the order of its seed."""
        order = data_order(len(self), plan.seed, plan.epoch).to(self.device)
        return IndexedSteps(split_steps(order, plan.budget, plan.at_least_two), self._load)

    def _load(self, steps: Sequence[Sequence[Tensor]]) -> Iterator[Sequence[MicroBatch]]:
        for parts in steps:
            yield [MicroBatch(len(part), partial(self.take, part)) for part in parts]


class IndexedSteps(EpochSteps):
    """Steps of an epoch over examples that are known by their index.

    Args:
        steps: Indices of the examples of each micro-batch of each step.
        load: Returns the micro-batches of some of these steps.
    """

    def __init__(
        self,
        steps: Sequence[Sequence[Tensor]],
        load: Callable[[Sequence[Sequence[Tensor]]], Iterator[Sequence[MicroBatch]]],
    ) -> None:
        self._steps = steps
        self._load = load

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def examples(self) -> int:
        """Number of examples of all steps."""
        return sum(len(part) for parts in self._steps for part in parts)

    def after(self, done: int) -> Iterator[Sequence[MicroBatch]]:
        """Return the micro-batches of each step after the first ``done``."""
        return self._load(self._steps[done:])


@dataclass(frozen=True, eq=False)
class Data:
    """The splits of a task: ``val`` is used for selection, ``test`` only at the end of a full run.

    A split is a `Split` of tensors, a `DatasetSplit` or an `IterableSplit`. Without a ``test``, ablations compare on
    ``val``.
    """

    train: Examples
    val: Examples
    test: Examples | None = None

    @property
    def splits(self) -> dict[str, Examples]:
        """The splits by name, without a ``test`` that is missing."""
        tested = {} if self.test is None else {"test": self.test}
        return {"train": self.train, "val": self.val, **tested}

    def to(self, device: torch.device) -> Data:
        """Return the same splits on a device."""
        return Data(**{name: split.to(device) for name, split in self.splits.items()})

    def close(self) -> None:
        """End the processes that load the splits."""
        for split in self.splits.values():
            split.close()


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


def spaced_indices(length: int, most: int) -> Tensor:
    """Return at most ``most`` of the indices ``0 .. length - 1``, evenly spaced."""
    count = min(length, most)
    return torch.arange(count) * length // count if count else torch.arange(0)
