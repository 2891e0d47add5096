"""Built-in tasks, one per file, and `Data`, its splits and `Task`, which a user's own task imports from here."""

from trainers.data.dataset_split import DatasetSplit
from trainers.data.iterable_split import IterableSplit
from trainers.task import Data, Split, Task

__all__ = ["Data", "DatasetSplit", "IterableSplit", "Split", "Task"]
