"""What is trained: one file per built-in task, and the user's own by dotted path."""

from trainers.task import Data, Split, Task
from trainers.task_lookup import BUILT_IN, Loop, load_target, load_task

__all__ = ["BUILT_IN", "Data", "Loop", "Split", "Task", "load_target", "load_task"]
