"""Average the weights during a training (EMA, SWA), or keep its best weights, beside the trained weights."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from search_spaces.recipe.averaging import EMA, SWA, Best, NoAverage
from search_spaces.recipe.recipe import Recipe
from trainers.compute.batch_norm import recompute_statistics
from trainers.compute.memory import cpu_copy, flatten_recurrent
from trainers.optim.schedules import first_step
from trainers.task import Examples


class Average:
    """EMA, SWA or best epoch of a model.

    Buffers are copied from the model. The statistics of BatchNorm belong to its weights: they are recomputed for a mean
    of weights, and copied with the weights of the best epoch and of the steps before the start of an EMA.

    Args:
        recipe: Recipe with an ``averaging`` other than ``NoAverage``.
        model: Model with its initial weights.
        total_steps: Number of optimizer steps of the full budget.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, total_steps: int) -> None:
        if isinstance(recipe.averaging, NoAverage):
            raise TypeError("the recipe has no weight averaging")
        self._averaging = recipe.averaging
        self._budget = recipe.budget
        self._frozen = recipe.groups.frozen
        self._total_steps = total_steps
        self._averaged = AveragedModel(model).requires_grad_(False)  # the plain mean
        flatten_recurrent(self._averaged)
        # It is compared with 0 at every step; on a GPU, the CPU would have to wait for it.
        self._averaged.n_averaged = self._averaged.n_averaged.cpu()
        if isinstance(self._averaging, Best):
            # A buffer is part of every snapshot; snapshots of the other kinds are unchanged.
            self._averaged.register_buffer("best_loss", torch.tensor(math.inf, dtype=torch.float64))

    @property
    def weights(self) -> str:
        """Name of the weights in metrics and predictions."""
        return self._averaging.kind

    @property
    def model(self) -> nn.Module | None:
        """Model with the averaged weights, or None before the first average."""
        return self._averaged.module if self._averaged.n_averaged > 0 else None

    def learning_rate(self, reports: int) -> float | None:
        """Return the constant learning rate of SWA after a number of reports; None if the schedule applies."""
        if isinstance(self._averaging, SWA) and reports >= self._averaging.first(self._budget.reports):
            return self._averaging.lr
        return None

    def after_step(self, model: nn.Module, steps: int) -> None:
        """Update the average with the weights after ``steps`` optimizer steps."""
        if isinstance(self._averaging, EMA):
            if self._only_copies(self._averaging, steps) or self._averaged.n_averaged == 0:
                self._averaged.n_averaged.zero_()  # the next update copies
                self._averaged.update_parameters(model)
            else:
                self._mix(model, 1.0 - self._averaging.decay)

    @torch.no_grad()
    def _mix(self, model: nn.Module, share: float) -> None:
        """Move the average of an EMA towards the weights by a share of the difference.

        torch's `update_parameters` does the same after it has sent `n_averaged` to the GPU, for which the CPU waits.
        """
        torch._foreach_lerp_(list(self._averaged.parameters()), list(model.parameters()), share)
        self._averaged.n_averaged += 1
        for averaged, current in zip(self._averaged.module.buffers(), model.buffers(), strict=True):
            averaged.copy_(current)

    def after_report(self, model: nn.Module, reports: int, steps: int, train: Examples) -> None:
        """Update the average with the weights after a number of reports (one per epoch) and optimizer steps."""
        match self._averaging:
            case SWA() as swa if reports > swa.first(self._budget.reports):
                self._averaged.update_parameters(model)
            case EMA() as ema if not self._only_copies(ema, steps):
                pass  # updated at every step
            case _:
                return
        recompute_statistics(self._averaged.module, train, self._budget.batch_size, self._frozen)

    def after_validation(self, model: nn.Module, loss: float) -> None:
        """Keep the weights of an epoch if their validation loss is the lowest so far (of equal losses, the first)."""
        if not isinstance(self._averaging, Best):
            return
        lowest = self._averaged.get_buffer("best_loss")
        if loss < lowest.item():
            lowest.fill_(loss)
            self._averaged.n_averaged.zero_()  # the update copies
            self._averaged.update_parameters(model)

    def _only_copies(self, ema: EMA, steps: int) -> bool:
        """Return whether the average is still a copy of the weights after ``steps`` optimizer steps."""
        return steps <= first_step(ema.start, self._total_steps)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights and the number of averaged models."""
        return cpu_copy(self._averaged.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot."""
        self._averaged.load_state_dict(state)
