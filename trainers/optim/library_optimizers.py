"""Optimizers of the package pytorch-optimizer, whose import takes longer than that of torch."""

from typing import Any, assert_never

import pytorch_optimizer as library
import torch
from pytorch_optimizer import SophiaH

from search_spaces.recipe.optimizers import LAMB, LARS, Lion, Lookahead, ScheduleFreeAdamW, Shampoo, Sophia
from trainers.seeding import global_stream


def with_lookahead(optimizer: torch.optim.Optimizer, lookahead: Lookahead) -> torch.optim.Optimizer:
    """Return the optimizer wrapped in a lookahead that uses the same parameter groups."""
    return library.Lookahead(optimizer, k=lookahead.k, alpha=lookahead.alpha)


def from_library(
    o: ScheduleFreeAdamW | Lion | LARS | LAMB | Sophia | Shampoo, groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Return an optimizer of the library; learning rates and weight decay are in the groups."""
    match o:
        case ScheduleFreeAdamW():
            return library.ScheduleFreeAdamW(groups, betas=o.betas, eps=o.eps)
        case Lion():
            return library.Lion(groups, betas=o.betas)
        case LARS():
            trust = o.trust_coefficient
            return library.LARS(groups, momentum=o.momentum, nesterov=o.nesterov, trust_coefficient=trust)
        case LAMB():
            # As in the paper, the decay is not decoupled: it is part of the update that the trust ratio scales. Without
            # adam_debias, the first steps would be 1 / (1 - beta1) times too long, since no norm would cancel that.
            return library.Lamb(groups, betas=o.betas, eps=o.eps, weight_decouple=False, adam_debias=True)
        case Sophia():
            every = o.curvature_every
            return SophiaWithOwnNoise(groups, betas=o.betas, p=o.clip, update_period=every, eps=o.eps)
        case Shampoo():
            # It computes roots when the step count is a multiple of the interval and makes no update before that.
            first = [{**group, "step": o.roots_every - 1} for group in groups]
            every = o.roots_every
            return library.Shampoo(first, matrix_eps=o.eps, preconditioning_compute_steps=every, weight_decouple=True)
        case _:
            assert_never(o)


class SophiaWithOwnNoise(SophiaH):
    """SophiaH whose Hutchinson noise depends on the random stream of the run and on the step.

    Noise from the global stream would change every later dropout mask.
    """

    @property
    def estimates_curvature(self) -> bool:
        """Whether the next step differentiates the gradient, which then needs a graph."""
        steps: int = self.param_groups[0].get("step", 0)
        return steps % self.update_period == 0

    def step(self, closure: Any = None, hessian: Any = None) -> Any:
        """Update the weights; every ``update_period`` steps, estimate the curvature first."""
        if not self.estimates_curvature:
            return super().step(closure, hessian)
        steps = self.param_groups[0].get("step", 0)
        with global_stream(torch.initial_seed(), "curvature", steps):
            return super().step(closure, hessian)
