"""Load batches of a map-style dataset, in this process or in others, with the same numbers in any number of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from search_spaces.errors import RunError, SweepsError
from search_spaces.seeds import derive_seed
from trainers.data.generators import Generators, seed_generators
from trainers.data.loader_process import end_with_parent, ended_process, without_interrupts
from trainers.data.pairs import batch_of, pair
from trainers.nested import Inputs
from trainers.task import Split
from trainers.user_code import FAILURES, describe, exit_cause

Collate = Callable[[list[Any]], Any]


class Item(NamedTuple):
    """What one item of a batch depends on.

    Attributes:
        number: Index of the item in its dataset.
        seed: Seed of the run; 0 in an evaluation.
        epoch: Index of the epoch, from 0; -1 in an evaluation.
    """

    number: int
    seed: int = 0
    epoch: int = -1


class _Seeded(Dataset[Any]):
    """The items of a dataset, each loaded with random numbers of its own."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, item: Item) -> tuple[Any, Any]:
        seed_generators(derive_seed(item.seed, "items", item.epoch, item.number))
        where = f"item {item.number} of the dataset"
        try:
            found = self._dataset[item.number]
        except FAILURES as error:
            raise RunError(f"{where} failed: {describe(error)}") from error
        return pair(found, where)


class _Collated:
    """A collate function whose batches are checked."""

    def __init__(self, collate: Collate) -> None:
        self._function = collate

    def __call__(self, items: list[Any]) -> tuple[Inputs, Tensor]:
        try:
            found = self._function(items)
        except FAILURES as error:
            raise RunError(f"collating a batch failed: {describe(error)}") from error
        batch = batch_of(found, "a collated batch")
        return batch.inputs, batch.targets


class Pass(NamedTuple):
    """The batches of one pass over some examples.

    Attributes:
        batches: Indices of the items of each batch.
        seed: Seed of the run; 0 in an evaluation.
        epoch: Index of the epoch, from 0; -1 in an evaluation.
    """

    batches: Sequence[Tensor]
    seed: int = 0
    epoch: int = -1


class _Sampler:
    """Sampler of the batches of the current pass."""

    def __init__(self) -> None:
        self.current = Pass(())

    def __iter__(self) -> Iterator[list[Item]]:
        batches, seed, epoch = self.current
        for indices in batches:
            yield items(indices, seed, epoch)


def items(indices: Tensor, seed: int = 0, epoch: int = -1) -> list[Item]:
    """Return the items of one batch."""
    return [Item(index, seed, epoch) for index in indices.tolist()]


@contextmanager
def _one_line(iterator: object) -> Iterator[None]:
    """Raise what a process that loads has raised, or that it has died, as an error of one line."""
    try:
        yield
    except SweepsError as error:  # torch puts the traceback of the process before it
        raise RunError(str(error).strip().rpartition("\n")[2].removeprefix(_prefix(error))) from error
    except (RuntimeError, OSError, EOFError) as error:  # of torch, or of a pipe to a process that is dead
        ended = ended_process(getattr(iterator, "_workers", ()))
        if ended is None:
            raise
        cause = exit_cause(ended.exitcode)
        why = "; if memory ran out, use fewer workers" if cause == "killed by SIGKILL" else ""
        raise RunError(f"a process that loads the data ended: {cause}{why}") from error


def _prefix(error: SweepsError) -> str:
    """Return what a traceback writes before the text of an error."""
    return f"{type(error).__module__}.{type(error).__name__}: "


class Loader:
    """Loads the batches of a dataset to a device. Its processes start with the first pass and stay until `close`.

    Args:
        dataset: Dataset of pairs (input, target).
        workers: Number of processes; 0 loads in this process.
        collate: Makes a batch of a list of pairs; None stacks the tensors.
        device: Device to load to; memory is pinned for a GPU.
    """

    def __init__(self, dataset: Dataset[Any], workers: int, collate: Collate | None, device: torch.device) -> None:
        self.dataset, self.workers, self.collate, self.device = dataset, workers, collate, device
        self._sampler = _Sampler()
        self._seeded = _Seeded(dataset)
        self._collate = _Collated(collate or default_collate)
        self._loader: DataLoader[Any] | None = None
        self._passes = 0

    def load(self, indices: Tensor) -> Split:
        """Return one batch of an evaluation, loaded in this process."""
        with Generators(0).active():
            return Split(*self._collate([self._seeded[item] for item in items(indices)])).to(self.device)

    def batches(self, wanted: Pass) -> Iterator[Split]:
        """Return batches in order. A pass ends the one before, since both have the same processes."""
        self._passes += 1
        number, self._sampler.current = self._passes, wanted
        generators = Generators(0)  # what is drawn in this process is no one else's
        if self._loader is None:
            self._loader = self._new_loader()
        with without_interrupts(), generators.active():
            iterator = iter(self._loader)
        for _ in wanted.batches:
            if number != self._passes:
                raise RuntimeError("another pass over the same examples has started")
            with generators.active(), _one_line(iterator):
                batch = next(iterator)
            yield Split(*batch).to(self.device, non_blocking=True)

    def close(self) -> None:
        """End the processes."""
        self._passes += 1
        if self._loader is not None and self._loader._iterator is not None:
            self._loader._iterator._shutdown_workers()  # type: ignore[attr-defined]  # a pass may still hold it
        self._loader = None

    def _new_loader(self) -> DataLoader[Any]:
        return DataLoader(
            self._seeded,
            batch_sampler=self._sampler,
            num_workers=self.workers,
            collate_fn=self._collate,
            pin_memory=self.device.type == "cuda",
            persistent_workers=self.workers > 0,
            worker_init_fn=end_with_parent,
            generator=torch.Generator(),  # otherwise each pass would draw from the global one
        )
