"""A split that is a map-style dataset, loaded batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from search_spaces.errors import UsageError
from trainers.compute.batches import split_batches, split_steps
from trainers.data.loader import Collate, Loader, Pass
from trainers.nested import first, map_tensors
from trainers.seeding import data_order
from trainers.task import EpochPlan, EpochSteps, Examples, IndexedSteps, MicroBatch, Split, spaced_indices

_CPU = torch.device("cpu")


class DatasetSplit(Examples):
    """Examples of one split that a ``torch.utils.data.Dataset`` loads one by one; they are never all in memory.

    The order of an epoch is that of a `Split` of as many examples. What an item draws from the global generators of
    torch, numpy and ``random`` depends only on the seed, the epoch and its index, not on the number of workers; in an
    evaluation, only on its index. Generators that the dataset keeps for itself are not seeded::

        DatasetSplit(torchvision.datasets.ImageFolder("photos/train", transform), workers=4)

    Args:
        dataset: Map-style dataset of pairs (input, target): tensors, numbers, or dicts, tuples or lists of them.
        workers: Number of processes that load; 0 loads in the process that trains. They end with the training.
        collate: Makes a batch (inputs, targets) of a list of pairs; None is ``torch.utils.data.default_collate``.
        evaluation_batch: Number of examples per batch of an evaluation.

    Raises:
        UsageError: The dataset has no length or no items by index, or a number is too small.
    """

    def __init__(
        self, dataset: Dataset[Any], workers: int = 0, collate: Collate | None = None, evaluation_batch: int = 256
    ) -> None:
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        ):
            raise UsageError(
                f"DatasetSplit needs a dataset with __len__ and __getitem__, found a {type(dataset).__name__}; use an"
                " IterableSplit for batches in an order of their own"
            )
        numbers = (workers, evaluation_batch)
        if not all(isinstance(one, Integral) for one in numbers) or workers < 0 or evaluation_batch < 1:
            raise UsageError(
                "DatasetSplit needs workers of at least 0 and an evaluation_batch of at least 1, both integers, found"
                f" {workers!r} and {evaluation_batch!r}"
            )
        self.evaluation_batch = evaluation_batch
        self._use(Loader(dataset, workers, collate, _CPU), torch.arange(len(dataset)))

    def _use(self, loader: Loader, indices: Tensor) -> None:
        self._loader, self._indices = loader, indices
        self._targets: Tensor | None = None
        self._sample: Split | None = None
        self.device = loader.device

    def _with(self, loader: Loader, indices: Tensor) -> DatasetSplit:
        other = object.__new__(DatasetSplit)
        other.evaluation_batch = self.evaluation_batch
        other._use(loader, indices)
        return other

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self)

    @property
    def targets(self) -> Tensor:  # type: ignore[override]  # they are loaded
        """Targets of all examples in order; a pass loads them, unless one is complete."""
        if self._targets is None:
            for _ in self.in_order(self.evaluation_batch):
                pass
        if self._targets is None:
            raise TypeError("a split without examples has no targets")
        return self._targets

    def take(self, indices: Tensor) -> DatasetSplit:
        """Return the examples at ``indices``, in that order."""
        return self._with(self._loader, self._indices[indices.cpu()])

    def to(self, device: torch.device) -> DatasetSplit:
        """Return the same examples, loaded to a device by processes of their own."""
        loader = self._loader
        return self._with(Loader(loader.dataset, loader.workers, loader.collate, device), self._indices)

    def order(self, seed: int) -> Tensor:
        """Return the order of the examples in the first epoch, int64, ``(n,)``."""
        return data_order(len(self), seed)

    def sample(self, least: int) -> Split:
        """Return the first ``least`` examples, or all."""
        count = min(least, len(self))
        if self._sample is None or len(self._sample) < count:
            self._sample = self._loader.load(self._indices[:count])
        return Split(first(self._sample.inputs, count), self._sample.targets[:count])

    def draw(self, most: int, seed: int) -> Split:
        """Return at most ``most`` examples: the first of the order of a seed."""
        return self._loader.load(self._indices[self.order(seed)[:most]])

    def evenly_spaced(self, most: int) -> DatasetSplit:
        """Return at most ``most`` examples, evenly spaced."""
        return self.take(spaced_indices(len(self), most))

    def in_order(self, size: int, at_least_two: bool = False) -> Iterator[Split]:
        """Return the batches of a pass over all examples in order."""
        targets = []
        for batch in self._loader.batches(Pass(split_batches(self._indices, size, at_least_two))):
            targets.append(batch.targets)
            yield batch
        if self._targets is None and targets:
            self._targets = torch.cat(targets)

    def epoch_steps(self, plan: EpochPlan) -> EpochSteps:
        """Return the optimizer steps of an epoch, in the order of its seed; only what this process owns is loaded."""
        order = self._indices[data_order(len(self), plan.seed, plan.epoch)]
        return IndexedSteps(split_steps(order, plan.budget, plan.at_least_two), partial(self._load, plan))

    def _load(self, plan: EpochPlan, steps: Sequence[Sequence[Tensor]]) -> Iterator[Sequence[MicroBatch]]:
        own = [part for parts in steps for number, part in enumerate(parts) if plan.owns(number)]
        loaded = self._loader.batches(Pass(own, plan.seed, plan.epoch))
        for parts in steps:
            yield [
                MicroBatch(len(part), loaded.__next__ if plan.owns(number) else partial(self._stand_in, len(part)))
                for number, part in enumerate(parts)
            ]

    def _stand_in(self, size: int) -> Split:
        """Return examples for a micro-batch that another process loads: it is mixed, as there, and not trained on."""
        sample = self.sample(1)
        inputs = map_tensors(lambda tensor: tensor.expand(size, *tensor.shape[1:]), sample.inputs)
        return Split(inputs, sample.targets.expand(size, *sample.targets.shape[1:]))

    def close(self) -> None:
        """End the processes that load the examples; they start again when they are needed."""
        self._loader.close()
