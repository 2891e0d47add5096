"""Maximal update parametrization (muP) by multipliers: one learning rate for every width.

Source: Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", 2022.

For Adam, the paper scales the learning rate of hidden matrices by 1/width. Since Adam's step does not depend on the
scale of the gradient, an equivalent parametrization (see the paper's appendix) uses one learning rate, multiplies the
output of the layer by base/width and its initial weights by width/base. Biases and input layers are unchanged. At the
base width nothing changes.
"""

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
    """Return a layer between hidden layers of size ``width``; a plain layer if ``base`` is None."""
    return _scaled_linear(features_in, features_out, width, base, 1.0)


def output_linear(features_in: int, features_out: int, width: int, base: int | None) -> nn.Linear:
    """Return the output layer after hidden layers of size ``width``; a plain layer if ``base`` is None."""
    return _scaled_linear(features_in, features_out, width, base, 0.5)


def _scaled_linear(features_in: int, features_out: int, width: int, base: int | None, power: float) -> nn.Linear:
    if base is None:
        return nn.Linear(features_in, features_out)
    layer = ScaledLinear(features_in, features_out, base / width)
    with torch.no_grad():
        layer.weight.mul_((width / base) ** power)
    return layer
