"""Open a training of any kind behind one interface."""

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
    """Interface of a training that advances some optimizer steps per call."""

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        ...

    @property
    def step(self) -> int:
        """Number of optimizer steps done in the current epoch; always 0 for a user's loop, whose unit is an epoch."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the training is complete; ``advance`` must not be called again."""
        ...

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of the training's start by name, unchanged by ``load_state_dict``; empty if they are unknown."""
        ...

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the model, frozen ones included; None if it is unknown."""
        ...

    @property
    def reports_all(self) -> bool:
        """Whether every epoch reports all metrics of the task."""
        ...

    def advance(self, steps: int) -> EpochReport | None:
        """Train for at most ``steps`` optimizer steps; return the report of the epoch if that completes it."""
        ...

    def state_dict(self) -> dict[str, Any] | None:
        """Return a snapshot to resume from, or ``None`` if this training can only start over."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot; raise ``CheckpointError`` if it belongs to another training."""
        ...

    def close(self) -> None:
        """Stop the processes of this training. It must not be used afterwards."""
        ...


def open_training(reference: str, recipe: Recipe, seed: int, processes: int = 1) -> EpochTrainer:
    """Return a new training, before its first epoch.

    Args:
        reference: Name of a built-in task, or ``package.module:Name`` of a user's task or training loop.
        recipe: All hyperparameters.
        seed: Seed of the run.
        processes: Number of processes. More than one are started here and share this process's CPU threads.

    Raises:
        UsageError: The reference is invalid, or this machine cannot run the training.
    """
    target = load_target(reference)
    if not isinstance(target, Task):
        check_loop(reference, target, processes)
        return UserLoopTraining(target, recipe, seed)
    if processes > 1:
        return DistributedTraining(reference, recipe, seed, processes)
    return Training(recipe, target, seed)
