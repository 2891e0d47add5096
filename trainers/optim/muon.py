"""Several optimizers that step as one, each on its own parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Combined(torch.optim.Optimizer):
    """The parameter groups of all parts in one list, so that one loop sets every learning rate.

    Args:
        parts: Optimizers without a parameter in common.
    """

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        self._share_groups()

    def _share_groups(self) -> None:
        """Take the parts' own groups, not copies: a part reads its learning rate from them."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # torch overloads it
        """Step every part; the gradients are there already, so no closure is called."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts, in their order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict()` of the same parts."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()
