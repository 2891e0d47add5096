"""The two doors for whoever runs trainings: ``prepare`` once per machine, ``open_training`` once per run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from search_spaces.recipe.recipe import Recipe
from trainers.distributed.distributed_training import DistributedTraining
from trainers.loop.training import Training
from trainers.loop.user_loop import UserLoopTraining
from trainers.reports import EpochReport
from trainers.task import Task
from trainers.task_checks import check_loop
from trainers.task_lookup import load_target


class EpochTrainer(Protocol):
    """What a runner holds: a training that advances one epoch per call."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        ...

    @property
    def finished(self) -> bool:
        """Whether another call of ``run_epoch`` is over the budget."""
        ...

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests by name of what it started from, the same before and after ``load_state_dict``.

        Empty when that is not known.
        """
        ...

    def run_epoch(self) -> EpochReport:
        """Train one epoch and report it."""
        ...

    def state_dict(self) -> dict[str, Any] | None:
        """Return a snapshot to continue from, or ``None`` when this training can only start over."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot; ``CheckpointError`` when it is not one of this training."""
        ...

    def close(self) -> None:
        """Give back what this training holds besides memory: its processes. It is not to be used afterwards."""
        ...


def open_training(reference: str, recipe: Recipe, seed: int, processes: int = 1) -> EpochTrainer:
    """Return a new training, before its first epoch.

    Args:
        reference: A built-in task's name, or ``package.module:Name`` of a user's task or training loop.
        recipe: Every hyperparameter.
        seed: Of this run.
        processes: How many train it together. More than one are started here, and share this process's CPU threads.

    Raises:
        UsageError: The reference cannot be used, or this cannot be trained here.
    """
    target = load_target(reference)
    if not isinstance(target, Task):
        check_loop(reference, processes)
        return UserLoopTraining(target, recipe, seed)
    if processes > 1:
        return DistributedTraining(reference, recipe, seed, processes)
    return Training(recipe, target, seed)
