"""Early stopping of a training on a plateau, and restoring its best weights."""

import copy
import math
from typing import Any

from torch import nn

from search_spaces.recipe.recipe import Patience
from trainers.compute.memory import cpu_copy


class Stopper:
    """Early stopping on the validation loss.

    Args:
        patience: Patience section of the recipe; without a number of epochs or reports, early stopping is disabled.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._best = math.inf
        self._bad_epochs = 0
        self._weights: dict[str, Any] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the loss has not improved for the number of epochs or reports in the recipe."""
        return self._patience.limit is not None and self._bad_epochs >= self._patience.limit

    def watch(self, loss: float, model: nn.Module) -> None:
        """Record the validation loss of an epoch, and keep a copy of the weights if it is the lowest so far."""
        if self._patience.limit is None:
            return
        if loss < self._best - self._patience.min_delta:
            self._best, self._bad_epochs = loss, 0
            if self._patience.restore_best:
                self._weights = cpu_copy(model.state_dict())
        else:
            self._bad_epochs += 1

    def restore(self, model: nn.Module) -> bool:
        """Load the best weights unless the model already has them; return whether they were loaded."""
        if self._weights is None or self._bad_epochs == 0:
            return False
        model.load_state_dict(self._weights)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot."""
        return {"best": self._best, "bad_epochs": self._bad_epochs, "weights": copy.deepcopy(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot."""
        self._best, self._bad_epochs = float(state["best"]), int(state["bad_epochs"])
        self._weights = copy.deepcopy(state["weights"])
