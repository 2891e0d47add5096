"""Early stopping on a plateau: when to end a training, and the best weights to end it with."""

from __future__ import annotations

import copy
import math
from typing import Any

from torch import nn

from search_spaces.recipe.recipe import Patience


class Stopper:
    """Watches one loss, epoch by epoch.

    Args:
        patience: The recipe's; without a number of epochs nothing is watched.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._best = math.inf
        self._bad_epochs = 0
        self._weights: dict[str, Any] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether there has been no improvement for as long as is put up with."""
        return self._patience.epochs is not None and self._bad_epochs >= self._patience.epochs

    def watch(self, loss: float, model: nn.Module) -> None:
        """Take in an epoch's validation loss, and keep the weights when it is the best one so far."""
        if self._patience.epochs is None:
            return
        if loss < self._best - self._patience.min_delta:
            self._best, self._bad_epochs = loss, 0
            if self._patience.restore_best:
                self._weights = copy.deepcopy(model.state_dict())
        else:
            self._bad_epochs += 1

    def restore(self, model: nn.Module) -> bool:
        """Put the best weights back if they are not in the model already; return whether that was done."""
        if self._weights is None or self._bad_epochs == 0:
            return False
        model.load_state_dict(self._weights)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the snapshot of what was seen."""
        return {"best": self._best, "bad_epochs": self._bad_epochs, "weights": copy.deepcopy(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._best, self._bad_epochs = float(state["best"]), int(state["bad_epochs"])
        self._weights = copy.deepcopy(state["weights"])
