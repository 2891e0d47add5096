"""A split that is an iterable of batches, in an order of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import RunError, UsageError
from search_spaces.seeds import derive_seed
from trainers.data.generators import Generators
from trainers.data.loader_process import without_interrupts
from trainers.data.pairs import batch_of
from trainers.nested import first
from trainers.task import EpochPlan, EpochSteps, Examples, MicroBatch, Split

_CPU = torch.device("cpu")


class IterableSplit(Examples):
    """Examples of one split as an iterable of batches, such as a ``DataLoader`` of your own: its order is kept.

    Each batch is a pair (inputs, targets) of tensors, whose inputs may also be a dict, tuple or list of tensors. A
    batch is a micro-batch, of any size: ``budget.batch_size`` only scales the learning rate (``budget.lr_scaling``).
    The iterable is passed anew in each epoch, with the global generators seeded by the seed and the epoch. A training
    that resumes within an epoch passes the batches that are done once more, without training::

        IterableSplit(DataLoader(StreamOfShards("s3://..."), batch_size=64, num_workers=4), batches=1000)

    Schedules, progress and budgets need the number of batches before the first pass.

    Args:
        iterable: Iterable of batches.
        batches: Number of batches of a pass, after which it ends; None is the length of the iterable.

    Raises:
        UsageError: The number of batches is unknown or 0.
    """

    def __init__(self, iterable: Iterable[Any], batches: int | None = None) -> None:
        _check_iterable(iterable)
        self._iterable = iterable
        self._batches = _length(iterable) if batches is None else batches
        if not _is_integer(self._batches) or self._batches < 1:
            raise UsageError(f"IterableSplit needs at least 1 batch in a pass, an integer, found {self._batches!r}")
        self._most: int | None = None
        self._use(_CPU)

    def _use(self, device: torch.device) -> None:
        self.device = device
        self._targets: Tensor | None = None
        self._first: Split | None = None

    def _copy(self, device: torch.device, most: int | None) -> IterableSplit:
        other = IterableSplit(self._iterable, self._batches)
        other._most = most
        other._use(device)
        return other

    @property
    def batches(self) -> int:
        """Number of batches of a pass."""
        return self._batches

    @property
    def examples(self) -> int:
        """Number of examples, as if all batches were as large as the first one."""
        every = self._batches * len(self.sample(1))
        return every if self._most is None else min(every, self._most)

    @property
    def targets(self) -> Tensor:  # type: ignore[override]  # they are loaded
        """Targets of all examples in order; a pass loads them, unless one is complete."""
        if self._targets is None:
            for _ in self.in_order(1):
                pass
        if self._targets is None:
            raise TypeError("a split without examples has no targets")
        return self._targets

    def to(self, device: torch.device) -> IterableSplit:
        """Return the same examples, moved to a device batch by batch."""
        return self._copy(device, self._most)

    def order(self, seed: int) -> Tensor:
        """Return the indices of the batches: their order is the iterable's."""
        return torch.arange(self._batches)

    def sample(self, least: int) -> Split:
        """Return the first batch."""
        if self._first is None:
            self._first = next(self._passed(Generators(_evaluation_seed())))
        return self._first

    def draw(self, most: int, seed: int) -> Split:
        """Return at most ``most`` examples: the first of the first batch."""
        return _first(self.sample(most), most)

    def evenly_spaced(self, most: int) -> IterableSplit:
        """Return the first ``most`` examples, since an iterable cannot skip any."""
        return self._copy(self.device, most)

    def in_order(self, size: int, at_least_two: bool = False) -> Iterator[Split]:
        """Return the batches of a pass as they are."""
        left = math.inf if self._most is None else self._most
        targets = []
        for loaded in self._passed(Generators(_evaluation_seed())):
            batch = loaded if len(loaded) <= left else _first(loaded, int(left))
            left -= len(batch)
            targets.append(batch.targets)
            yield batch
            if left <= 0:
                break
        if self._targets is None:
            self._targets = torch.cat(targets)

    def epoch_steps(self, plan: EpochPlan) -> EpochSteps:
        """Return the optimizer steps of an epoch, in the order of the iterable."""
        generators = Generators(derive_seed(plan.seed, "items", plan.epoch))
        return _IterableSteps(self._passed(generators), self._batches, plan.budget.accumulation)

    def _passed(self, generators: Generators) -> Iterator[Split]:
        """Yield the batches of one pass; the iterable draws from generators of its own."""
        with without_interrupts(), generators.active():
            iterator = iter(self._iterable)
        for number in range(self._batches):
            with without_interrupts(), generators.active():  # some start their processes with the first batch
                found = next(iterator, None)
            if found is None:
                raise RunError(
                    f"the iterable ended after {number} of {self._batches} batches; give IterableSplit the number of"
                    " batches that every pass has"
                )
            yield batch_of(found, f"batch {number} of the iterable").to(self.device, non_blocking=True)


class _IterableSteps(EpochSteps):
    """Steps of an epoch over batches that are known once they are loaded."""

    def __init__(self, batches: Iterator[Split], count: int, accumulation: int) -> None:
        self._loaded = batches
        self._count = count
        self._accumulation = accumulation
        self._examples = 0

    def __len__(self) -> int:
        return math.ceil(self._count / self._accumulation)

    @property
    def examples(self) -> int:
        """Number of examples of the steps so far."""
        return self._examples

    def after(self, done: int) -> Iterator[Sequence[MicroBatch]]:
        """Yield the micro-batches of each step after the first ``done``, whose batches are passed and dropped."""
        for step in range(len(self)):
            wanted = min(self._accumulation, self._count - step * self._accumulation)
            parts = []
            for _ in range(wanted):
                batch = next(self._loaded)
                self._examples += len(batch)
                if step >= done:
                    parts.append(MicroBatch(len(batch), partial(_same, batch)))
            if parts:
                yield parts


def _same(batch: Split) -> Split:
    return batch


def _evaluation_seed() -> int:
    return derive_seed("items", "evaluation")


def _first(batch: Split, count: int) -> Split:
    return Split(first(batch.inputs, count), batch.targets[:count])


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral)


def _check_iterable(iterable: object) -> None:
    if not hasattr(iterable, "__iter__") or hasattr(iterable, "__next__"):
        rule = "IterableSplit needs an iterable that each epoch passes anew"
        way = "use an object whose __iter__ starts a new pass, such as a DataLoader"
        raise UsageError(f"{rule}, found a {type(iterable).__name__}; {way}")


def _length(iterable: Iterable[Any]) -> int:
    try:
        return len(iterable)  # type: ignore[arg-type]  # it may have none
    except TypeError as error:
        raise UsageError(
            f"IterableSplit(iterable, batches=N) needs the number of batches of a pass, since the"
            f" {type(iterable).__name__} has no length"
        ) from error
