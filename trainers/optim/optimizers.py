"""Build the optimizer of a recipe: torch's class if there is one, else that of pytorch-optimizer."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.recipe.optimizers import (
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamL2,
    AdamW,
    Lookahead,
    Muon,
    NAdam,
    Optimizer,
    ParameterGroups,
    RAdam,
    RMSprop,
)
from trainers.optim.layer_groups import freeze, lr_scales
from trainers.optim.muon import build_muon
from trainers.optim.param_groups import split_parameters, torch_groups

EVERYTHING = ParameterGroups()
NO_LOOKAHEAD = Lookahead()


def build_optimizer(
    optimizer: Optimizer,
    model: nn.Module,
    groups: ParameterGroups = EVERYTHING,
    lookahead: Lookahead = NO_LOOKAHEAD,
) -> torch.optim.Optimizer:
    """Return a torch optimizer for the trainable parameters of ``model``.

    Its groups have the peak learning rates. At every step the caller must set the learning rate of a group to
    ``peak * group["lr_scale"] * factor`` and compute the gradients with `backward`; it must call `eval_mode` before an
    evaluation and `train_mode` after it.

    Args:
        optimizer: Kind and hyperparameters.
        model: Model to train; its parameters under ``groups.frozen`` are frozen here.
        groups: Factors on the learning rate, and frozen parameters.
        lookahead: Lookahead around the optimizer.

    Raises:
        UsageError: The model has no parameters for this optimizer or these groups.
    """
    freeze(model, groups.frozen)
    fast = _build(optimizer, model, groups)
    if not lookahead.k:
        return fast
    from trainers.optim.library_optimizers import with_lookahead  # slower to import than torch

    return with_lookahead(fast, lookahead)


def _build(optimizer: Optimizer, model: nn.Module, choice: ParameterGroups) -> torch.optim.Optimizer:
    """Return the optimizer without lookahead.

    Fused kernels are used because on a CPU, a step of a small model takes a third to a half of the time of ``foreach``
    kernels; they resume bit-identically.
    """
    scales = lr_scales(model, choice)
    if isinstance(optimizer, Muon):
        return build_muon(optimizer, model, scales)
    groups = _groups(optimizer, model, scales)
    o = optimizer
    match o:
        case AdamW():
            return torch.optim.AdamW(groups, betas=o.betas, eps=o.eps, fused=True)
        case Adam() | AdamL2():  # weight_decay of torch's Adam is the L2 term
            return torch.optim.Adam(groups, betas=o.betas, eps=o.eps, fused=True)
        case SGD():
            return torch.optim.SGD(groups, momentum=o.momentum, nesterov=o.nesterov, fused=True)
        case NAdam():
            return torch.optim.NAdam(
                groups, betas=o.betas, eps=o.eps, momentum_decay=o.momentum_decay, decoupled_weight_decay=True
            )
        case RAdam():
            return torch.optim.RAdam(groups, betas=o.betas, eps=o.eps, decoupled_weight_decay=True)
        case RMSprop():
            return torch.optim.RMSprop(groups, alpha=o.alpha, eps=o.eps, momentum=o.momentum, centered=o.centered)
        case Adagrad():
            start = o.initial_accumulator
            return torch.optim.Adagrad(groups, eps=o.eps, initial_accumulator_value=start, fused=True)
        case Adafactor():
            eps = (None, o.min_rms)
            return torch.optim.Adafactor(groups, beta2_decay=o.beta2_decay, eps=eps, d=o.clip_threshold)
        case _:
            from trainers.optim.library_optimizers import from_library  # slower to import than torch

            return from_library(o, groups)


def _groups(optimizer: Optimizer, model: nn.Module, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    if isinstance(optimizer, Adam | RMSprop | Adagrad):  # without weight decay
        split = split_parameters(model, "none", decay_embeddings=False)
        return torch_groups(model, split, 0.0, optimizer.lr, scales)
    split = split_parameters(model, optimizer.decay, optimizer.decay_embeddings)
    return torch_groups(model, split, optimizer.weight_decay, optimizer.lr, scales)
