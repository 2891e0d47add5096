"""Muon for the hidden matrices and AdamW for the other parameters, as one optimizer."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import Muon
from trainers.optim.layer_groups import find_layer_groups, parameters_under
from trainers.optim.param_groups import split_parameters, torch_groups


class Combined(torch.optim.Optimizer):
    """Several optimizers as one, with their parameter groups in one list.

    Args:
        parts: Optimizers of different parameters.
    """

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        self._share_groups()

    def _share_groups(self) -> None:
        """Use the groups of the parts, not copies, because a part reads its learning rate from them."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # overloaded in torch
        """Step every part. The closure is not called, since the gradients are already computed."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts in their order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume from the `state_dict()` of the same parts."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()


def build_muon(optimizer: Muon, model: nn.Module, scales: Mapping[str, float]) -> torch.optim.Optimizer:
    """Return Muon for the hidden matrices and AdamW for the other parameters.

    ``lr_scale`` of the AdamW groups includes the ratio of the two peak learning rates.
    """
    hidden = _hidden_matrices(model)
    if not hidden:
        raise UsageError("optimizer.kind: muon needs a weight matrix before the head, but the model has none")
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
    """Return the names of the two-dimensional weights outside embeddings and the head, also if shared with these."""
    head = {id(parameter) for parameter in parameters_under(model, find_layer_groups(model).head)}
    parameters = dict(model.named_parameters())
    names = split_parameters(model, "matrices", decay_embeddings=False).decayed
    return frozenset(name for name in names if parameters[name].ndim == 2 and id(parameters[name]) not in head)
