"""The built-in tasks, one file each; and `Data`, `Split` and `Task`, which a user's own task imports from here."""

from trainers.task import Data, Split, Task

__all__ = ["Data", "Split", "Task"]
