"""Sophia-H with noise of its own."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_optimizer import SophiaH

from search_spaces.seeds import derive_seed


class Sophia(SophiaH):
    """SophiaH whose Hutchinson noise is a function of the run's random stream and of the step.

    Drawn from the global stream itself, it would change every dropout mask after it.
    """

    @property
    def estimates_curvature(self) -> bool:
        """Whether the coming step differentiates the gradient, which must then have a graph of its own."""
        steps: int = self.param_groups[0].get("step", 0)
        return steps % self.update_period == 0

    def step(self, closure: Any = None, hessian: Any = None) -> Any:
        """Move the weights; every ``update_period`` steps, estimate the curvature first."""
        if not self.estimates_curvature:
            return super().step(closure, hessian)
        steps = self.param_groups[0].get("step", 0)
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(derive_seed(torch.initial_seed(), "curvature", steps))
            return super().step(closure, hessian)
