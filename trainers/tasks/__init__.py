"""What is trained: one file per built-in task, and the user's own by dotted path."""

from trainers.tasks.reference import BUILT_IN, Loop, load_target, load_task
from trainers.tasks.task import Data, Split, Task

__all__ = ["BUILT_IN", "Data", "Loop", "Split", "Task", "load_target", "load_task"]
