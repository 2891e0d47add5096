"""Check a split that is loaded, before anything is trained."""

from search_spaces.errors import UsageError
from trainers.data.dataset_split import DatasetSplit
from trainers.data.iterable_split import IterableSplit
from trainers.task import Examples, Split

CHECKED = 32
"""Number of items, evenly spaced, that are read of a split that is loaded."""


def read_some(split: Examples) -> Split:
    """Return some examples of a split that is loaded batch by batch, or the first batch of an iterable.

    Raises:
        UsageError: It is empty, or an item or a batch is no pair of inputs and targets.
    """
    if isinstance(split, DatasetSplit) and not len(split):
        raise UsageError("the dataset is empty; a split needs at least 1 example")
    return split.evenly_spaced(CHECKED).sample(CHECKED)


def check_processes(train: Examples, processes: int) -> None:
    """Raise a ``UsageError`` if several processes cannot divide the batches of ``train``."""
    if processes > 1 and isinstance(train, IterableSplit):
        raise UsageError(
            "data(seed).train is an IterableSplit, whose batches cannot be divided between processes; use a"
            f" DatasetSplit, or set resources.processes to 1, found {processes}"
        )
