"""The recipe's optimizer -> torch's; torch's own class where it has one, else pytorch-optimizer's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol, assert_never, runtime_checkable

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import (
    LAMB,
    LARS,
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamL2,
    AdamW,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    Optimizer,
    ParameterGroups,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    Shampoo,
    Sophia,
)
from trainers.optim.layer_groups import find_blocks, freeze, is_under, lr_scales
from trainers.optim.muon import Combined
from trainers.optim.param_groups import split_parameters, torch_groups

EVERYTHING = ParameterGroups()
NO_LOOKAHEAD = Lookahead()


def build_optimizer(
    optimizer: Optimizer,
    model: nn.Module,
    groups: ParameterGroups = EVERYTHING,
    lookahead: Lookahead = NO_LOOKAHEAD,
) -> torch.optim.Optimizer:
    """Return torch's optimizer for the trainable parameters of ``model``.

    Its learning rates are only the peaks: the training sets those of every step, of a group to
    ``peak * group["lr_scale"] * factor``. It calls `backward` for the gradients, and `train_mode` and
    `eval_mode` around an evaluation.

    Args:
        optimizer: Kind and hyperparameters.
        model: Its parameters under ``groups.frozen`` stop training here.
        groups: Shares of the learning rate, and what is frozen.
        lookahead: Slow weights around it all.

    Raises:
        UsageError: The model has nothing for this optimizer or these groups to work on.
    """
    freeze(model, groups.frozen)
    fast = _build(optimizer, model, groups)
    if not lookahead.k:
        return fast
    from trainers.optim.library_optimizers import with_lookahead  # longer to import than torch itself

    return with_lookahead(fast, lookahead)


def _build(optimizer: Optimizer, model: nn.Module, choice: ParameterGroups) -> torch.optim.Optimizer:
    """Return the optimizer without lookahead.

    The fused kernels are chosen because a step of a small model costs a third to a half of the ``foreach`` one
    on a CPU; they resume bit-identically.
    """
    scales = lr_scales(model, choice)
    if isinstance(optimizer, Muon):
        return _muon(optimizer, model, scales)
    groups = _groups(optimizer, model, scales)
    o = optimizer
    match o:
        case AdamW():
            return torch.optim.AdamW(groups, betas=o.betas, eps=o.eps, fused=True)
        case Adam() | AdamL2():  # torch's weight_decay of Adam is the L2 term
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
        case ScheduleFreeAdamW() | Lion() | LARS() | LAMB() | Sophia() | Shampoo():
            from trainers.optim.library_optimizers import from_library  # longer to import than torch itself

            return from_library(o, groups)
        case _:
            assert_never(o)


def _groups(optimizer: Optimizer, model: nn.Module, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    if isinstance(optimizer, Adam | RMSprop | Adagrad):  # they have no weight decay
        split = split_parameters(model, "none", decay_embeddings=False)
        return torch_groups(model, split, 0.0, optimizer.lr, scales)
    split = split_parameters(model, optimizer.decay, optimizer.decay_embeddings)
    return torch_groups(model, split, optimizer.weight_decay, optimizer.lr, scales)


def _muon(optimizer: Muon, model: nn.Module, scales: Mapping[str, float]) -> torch.optim.Optimizer:
    """Return Muon on the hidden matrices and AdamW on the rest.

    The groups of AdamW differ from those of Muon in their peak, which ``lr_scale`` carries too.
    """
    hidden = _hidden_matrices(model)
    if not hidden:
        raise UsageError("optimizer.kind: muon needs a weight matrix before the head, and the model has none")
    split = split_parameters(model, optimizer.decay, optimizer.decay_embeddings)
    matrices = torch_groups(
        model, split.only(lambda name: name in hidden), optimizer.weight_decay, optimizer.lr, scales
    )
    ratio = optimizer.adamw_lr / optimizer.lr
    rest = torch_groups(
        model,
        split.only(lambda name: name not in hidden),
        optimizer.weight_decay,
        optimizer.lr,
        {name: scale * ratio for name, scale in scales.items()},
    )
    muon = torch.optim.Muon(
        matrices,
        momentum=optimizer.momentum,
        nesterov=optimizer.nesterov,
        ns_steps=optimizer.newton_schulz_steps,
        adjust_lr_fn=optimizer.adjust_lr,
    )
    if not rest:
        return muon
    return Combined(muon, torch.optim.AdamW(rest, betas=optimizer.adamw_betas, eps=optimizer.adamw_eps, fused=True))


def _hidden_matrices(model: nn.Module) -> frozenset[str]:
    """Return the names of the two-dimensional weights that are neither an embedding's nor the head's."""
    head = find_blocks(model).head
    parameters = dict(model.named_parameters())
    names = split_parameters(model, "matrices", decay_embeddings=False).decayed
    return frozenset(name for name in names if parameters[name].ndim == 2 and not is_under(name, head))


@runtime_checkable
class _Wrapper(Protocol):
    """A lookahead."""

    optimizer: torch.optim.Optimizer


@runtime_checkable
class _TwoModes(Protocol):
    """A schedule-free optimizer."""

    def train(self) -> None: ...
    def eval(self) -> None: ...


@runtime_checkable
class _SecondOrder(Protocol):
    """Sophia."""

    @property
    def estimates_curvature(self) -> bool: ...


def _inner(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    return optimizer.optimizer if isinstance(optimizer, _Wrapper) else optimizer


def backward(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Add the gradient of ``loss`` to the parameters' ``grad``, in the form that the coming step needs.

    Sophia differentiates it once more in some steps; then it carries its graph.
    """
    inner = _inner(optimizer)
    if not (isinstance(inner, _SecondOrder) and inner.estimates_curvature):
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        return
    with warnings.catch_warnings():
        # It warns of a cycle of references, which zero_grad() after the step breaks.
        warnings.filterwarnings("ignore", message=r"Using backward\(\) with create_graph=True")
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]  # torch has not typed it


def train_mode(optimizer: torch.optim.Optimizer) -> None:
    """Put the weights where gradients are taken; for a schedule-free optimizer, after `eval_mode`."""
    inner = _inner(optimizer)
    if isinstance(inner, _TwoModes):
        inner.train()


def eval_mode(optimizer: torch.optim.Optimizer) -> None:
    """Put the weights where they are evaluated: a schedule-free optimizer has an average for it.

    A checkpoint can be taken in either mode; the optimizer's state says which one it was.
    """
    inner = _inner(optimizer)
    if isinstance(inner, _TwoModes):
        inner.eval()
