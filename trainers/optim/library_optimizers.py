"""What torch lacks, from the package pytorch-optimizer; its import takes longer than torch's own."""

from __future__ import annotations

from typing import Any, assert_never

import pytorch_optimizer as library
import torch
from pytorch_optimizer import SophiaH

from search_spaces.recipe.optimizers import LAMB, LARS, Lion, Lookahead, ScheduleFreeAdamW, Shampoo, Sophia
from search_spaces.seeds import derive_seed


def with_lookahead(optimizer: torch.optim.Optimizer, lookahead: Lookahead) -> torch.optim.Optimizer:
    """Return the optimizer with slow weights around it; its parameter groups stay the optimizer's own."""
    return library.Lookahead(optimizer, k=lookahead.k, alpha=lookahead.alpha)


def from_library(
    o: ScheduleFreeAdamW | Lion | LARS | LAMB | Sophia | Shampoo, groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Return the library's optimizer; learning rates and decay are in the groups."""
    match o:
        case ScheduleFreeAdamW():
            return library.ScheduleFreeAdamW(groups, betas=o.betas, eps=o.eps)
        case Lion():
            return library.Lion(groups, betas=o.betas)
        case LARS():
            trust = o.trust_coefficient
            return library.LARS(groups, momentum=o.momentum, nesterov=o.nesterov, trust_coefficient=trust)
        case LAMB():
            # Without decoupling, the decay is in the update that the trust ratio scales, as in the paper. Without
            # adam_debias, the first steps would be 1 / (1 - beta1) times too long: no norm is left to cancel that.
            return library.Lamb(groups, betas=o.betas, eps=o.eps, weight_decouple=False, adam_debias=True)
        case Sophia():
            every = o.curvature_every
            return SophiaWithOwnNoise(groups, betas=o.betas, p=o.clip, update_period=every, eps=o.eps)
        case Shampoo():
            # It computes roots whenever the count of steps is a multiple; until the first time it would not move.
            first = [{**group, "step": o.roots_every - 1} for group in groups]
            every = o.roots_every
            return library.Shampoo(first, matrix_eps=o.eps, preconditioning_compute_steps=every, weight_decouple=True)
        case _:
            assert_never(o)


class SophiaWithOwnNoise(SophiaH):
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
