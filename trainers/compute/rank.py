"""One of the processes that train a run together, as its `Training` sees it.

N processes with `accumulation: a` are defined to be one process with `accumulation: N * a`. The micro-batches of a step
go round the ranks like cards: rank r takes those whose number leaves r when divided by N. Every rank makes the same
optimizer step from the same gradient, so the weights are equal everywhere without ever being sent.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe


@dataclass(frozen=True)
class Rank:
    """Which process this is, and what it does together with the others; alone, all of it is nothing.

    Attributes:
        index: From 0. The first rank evaluates, reports and hands out snapshots.
        count: How many processes there are.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that reports."""
        return self.index == 0

    def widened(self, recipe: Recipe) -> Recipe:
        """Return the recipe of the training in one process that all ranks together are equal to.

        Raises:
            UsageError: They cannot be equal to it.
        """
        if self.count == 1:
            return recipe
        optimizers = (recipe.optimizer, *((recipe.switch.to,) if recipe.switch else ()))
        if any(one.SECOND_ORDER for one in optimizers):
            raise UsageError(
                "optimizer.kind: sophia differentiates the gradient, which torch does not share among processes;"
                f" set resources.processes to 1, found {self.count}"
            )
        budget = recipe.budget.model_copy(update={"accumulation": recipe.budget.accumulation * self.count})
        return recipe.model_copy(update={"budget": budget})

    def with_joint_norms(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model with BatchNorm layers that take their statistics over the micro-batches of all ranks.

        Raises:
            UsageError: torch cannot do that on this device.
        """
        if self.count == 1:
            return model
        if device.type != "cuda":
            raise UsageError(
                f"model.sync_batch_norm needs CUDA, found {device.type}; set it to false, or resources.processes to 1"
            )
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        joint: nn.Module = convert(model)  # type: ignore[no-untyped-call]  # torch has not typed it
        return joint

    def wrapped(self, model: nn.Module) -> nn.Module:
        """Return what to train through: backward averages the gradients of all ranks into the same parameters.

        DDP and not a sum written out here, because it sends what is ready while backward still computes the rest. A
        model of a user's may leave parameters out of some steps, as it may in one process; torch has to look for them.
        """
        return DistributedDataParallel(model, find_unused_parameters=True) if self.count > 1 else model

    def owns(self, micro_batch: int) -> bool:
        """Whether the micro-batch with this number in its step is this rank's."""
        return micro_batch % self.count == self.index

    def idle_at_the_end(self, micro_batches: int) -> bool:
        """Whether the last round of a step of so many micro-batches leaves this rank without one."""
        return 0 < micro_batches % self.count <= self.index

    def reduction(self, model: nn.Module, micro_batch: int, micro_batches: int) -> AbstractContextManager[None]:
        """Return the context of a forward and backward pass: gradients are averaged in the last round of a step."""
        last_round = micro_batch // self.count == (micro_batches - 1) // self.count
        if last_round or not isinstance(model, DistributedDataParallel):
            return nullcontext()
        return model.no_sync()

    def total(self, value: Tensor) -> Tensor:
        """Add up the values of all ranks, in place."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def agreed(self, value: float, device: torch.device) -> float:
        """Return the first rank's value, for decisions that all have to make alike."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def share_buffers(self, model: nn.Module) -> None:
        """Take over the first rank's buffers, so that its snapshot is a snapshot of every rank."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)


ALONE = Rank()
