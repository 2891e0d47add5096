"""The current optimizer, with its learning rate and weight decay at every step."""

import copy
from typing import Any

from torch import nn

from search_spaces.recipe.optimizers import Optimizer
from search_spaces.recipe.recipe import Recipe
from trainers.compute.memory import cpu_copy
from trainers.optim.modes import eval_mode, train_mode
from trainers.optim.optimizers import build_optimizer
from trainers.optim.schedules import PlateauState, after_epoch, batch_factor, factor, first_step, weight_decay_factor


class Stepper:
    """Optimizer of a training: sets its rates for each step and switches it if the recipe says so.

    Args:
        recipe: Recipe of the training.
        model: Model with its initial weights. Parameters are frozen here if the recipe says so.
        total_steps: Number of optimizer steps of the full budget.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, total_steps: int) -> None:
        self._recipe = recipe
        self._model = model
        self._total_steps = total_steps
        self._switched = False
        self._plateau = PlateauState()
        self._use(recipe.optimizer)

    def _use(self, optimizer: Optimizer) -> None:
        """Start a new optimizer."""
        self._peak = optimizer.lr * batch_factor(self._recipe.budget)
        self.optimizer = build_optimizer(optimizer, self._model, self._recipe.groups, self._recipe.lookahead)
        self._weight_decays = [group.get("weight_decay", 0.0) for group in self.optimizer.param_groups]

    @property
    def evaluates_other_weights(self) -> bool:
        """Whether the weights for evaluation may be others than those of the last steps: slow weights or an average."""
        averages = any(optimizer.EVALUATES_AVERAGE for optimizer in self._recipe.optimizers.values())
        return averages or self._recipe.lookahead.k > 0

    def prepare(self, steps_done: int, constant: float | None = None) -> float:
        """Set the learning rate and weight decay of the next step, and switch the optimizer if it is due.

        Args:
            steps_done: Number of optimizer steps done.
            constant: Learning rate that replaces the scheduled one.

        Returns:
            The learning rate before scaling by the parameter groups.
        """
        switch = self._recipe.switch
        if switch and not self._switched and steps_done >= first_step(switch.at, self._total_steps):
            eval_mode(self.optimizer)
            self._use(switch.to)
            train_mode(self.optimizer)
            self._switched = True

        position = factor(self._recipe.schedule, steps_done, self._total_steps) * self._plateau.factor
        learning_rate = self._peak * position if constant is None else constant
        decay = weight_decay_factor(self._recipe.weight_decay_schedule, steps_done, self._total_steps)
        for group, weight_decay in zip(self.optimizer.param_groups, self._weight_decays, strict=True):
            group["lr"] = learning_rate * group.get("lr_scale", 1.0)
            if weight_decay:
                group["weight_decay"] = weight_decay * decay
        return learning_rate

    def after_epoch(self, loss: float) -> None:
        """Update the reduce-on-plateau schedule with the validation loss of an epoch or report."""
        self._plateau = after_epoch(self._recipe.schedule, self._plateau, loss)

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot, including which of two optimizers is current."""
        return {
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "switched": self._switched,
            "plateau": tuple(self._plateau),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot."""
        self._switched = bool(state["switched"])
        switch = self._recipe.switch
        self._use(switch.to if switch and self._switched else self._recipe.optimizer)
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._plateau = PlateauState(*state["plateau"])
