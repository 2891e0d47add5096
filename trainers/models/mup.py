"""Maximal update parametrization by multipliers: one learning rate for every width.

Source: Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", 2022.

The paper's table for Adam gives hidden matrices a learning rate of 1/width. Adam's step does not depend on the scale of
the gradient, so the same function is trained by a layer that multiplies its output by base/width, from weights that
are larger by as much, under one learning rate for all (its appendix on equivalent parametrizations). Biases and what
reads the inputs stay as they are. At the base width nothing changes at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ScaledLinear(nn.Linear):
    """A linear layer whose product with the weights, but not its bias, is multiplied by ``scale``."""

    def __init__(self, features_in: int, features_out: int, scale: float) -> None:
        super().__init__(features_in, features_out)
        self.scale = scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(..., features_in)`` to ``(..., features_out)``."""
        return functional.linear(inputs * self.scale, self.weight, self.bias)


def hidden_linear(features_in: int, features_out: int, width: int, base: int | None) -> nn.Linear:
    """Return a layer between hidden ones, both of which grow with ``width``; ``base`` None is a plain layer."""
    if base is None:
        return nn.Linear(features_in, features_out)
    layer = ScaledLinear(features_in, features_out, base / width)
    with torch.no_grad():
        layer.weight.mul_(width / base)
    return layer


def output_linear(features_in: int, features_out: int, width: int, base: int | None) -> nn.Linear:
    """Return the layer that reads hidden units: its weights keep the size that they have at the base width."""
    if base is None:
        return nn.Linear(features_in, features_out)
    layer = ScaledLinear(features_in, features_out, base / width)
    with torch.no_grad():
        layer.weight.mul_((width / base) ** 0.5)
    return layer
