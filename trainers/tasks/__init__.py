"""Built-in tasks, one per file, and `Data`, `Split` and `Task`, which a user's own task imports from here."""

from trainers.task import Data, Split, Task

__all__ = ["Data", "Split", "Task"]
