"""One of the processes that train a run together, as its `Training` sees it.

N processes with `accumulation: a` are equivalent to one process with `accumulation: N * a`. The micro-batches of a step
are assigned in turn: rank r takes those with `number % N == r`. Every rank makes the same optimizer step with the same
gradient, so the weights are equal in all processes without being sent.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe

_T = TypeVar("_T")


@dataclass(frozen=True)
class Rank:
    """Index of this process among those of a run, and their joint operations, which do nothing in a single process.

    Attributes:
        index: Index of this process, from 0. The first rank evaluates, reports and returns snapshots.
        count: Number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the first rank, which reports."""
        return self.index == 0

    def equivalent_recipe(self, recipe: Recipe) -> Recipe:
        """Return the recipe of the single-process training that is equivalent to all ranks together.

        Raises:
            UsageError: There is no equivalent training.
        """
        if self.count == 1:
            return recipe
        if second_order := [one.kind for one in recipe.optimizers.values() if one.SECOND_ORDER]:
            raise UsageError(
                f"optimizer.kind: {second_order[0]} differentiates the gradient, which torch does not support in"
                f" several processes; set resources.processes to 1, found {self.count}"
            )
        budget = recipe.budget.model_copy(update={"accumulation": recipe.budget.accumulation * self.count})
        return recipe.model_copy(update={"budget": budget})

    def with_sync_batch_norm(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model with BatchNorm layers that compute their statistics over the micro-batches of all ranks.

        Raises:
            UsageError: torch does not support this on the device.
        """
        if self.count == 1:
            return model
        if device.type != "cuda":
            raise UsageError(
                f"model.sync_batch_norm needs CUDA, found {device.type}; set it to false, or resources.processes to 1"
            )
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        joint: nn.Module = convert(model)  # type: ignore[no-untyped-call]  # untyped in torch
        return joint

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """Return the model, wrapped so that backward averages the gradients of all ranks.

        DDP sends gradients that are ready while backward still computes the others. Unused parameters are searched for
        because a user's model may skip some parameters in some steps.
        """
        return DistributedDataParallel(model, find_unused_parameters=True) if self.count > 1 else model

    def owns(self, micro_batch: int) -> bool:
        """Return whether this rank trains on the micro-batch with this number in its step."""
        return micro_batch % self.count == self.index

    def idle_in_last_round(self, micro_batches: int) -> bool:
        """Return whether this rank has no micro-batch in the last round of a step with this number of micro-batches."""
        return 0 < micro_batches % self.count <= self.index

    def gradient_sync(self, model: nn.Module, micro_batch: int, micro_batches: int) -> AbstractContextManager[None]:
        """Return the context for a forward and backward pass; gradients are averaged in the last round of a step."""
        last_round = micro_batch // self.count == (micro_batches - 1) // self.count
        if last_round or not isinstance(model, DistributedDataParallel):
            return nullcontext()
        return model.no_sync()

    def sum(self, value: Tensor) -> Tensor:
        """Sum the values of all ranks in place."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def gather(self, value: _T) -> list[_T]:
        """Return the values of all ranks, in order; their tensors must be on the CPU."""
        values = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: float, device: torch.device) -> float:
        """Return the first rank's value, for decisions that must be the same in all ranks."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Copy the first rank's buffers to all ranks, so that its snapshot is valid for every rank."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)


ALONE = Rank()
