"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU and dropout between them.

    Args:
        features: Numbers per example.
        hidden: Width of each hidden layer.
        classes: Logits per example.
        dropout: Probability of zeroing a hidden activation, after each ReLU.
    """

    def __init__(self, features: int, hidden: Sequence[int], classes: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in zip((features, *hidden), hidden, strict=False):
            layers += [nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(nn.Flatten(), *layers)
        self.head = nn.Linear((features, *hidden)[-1], classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(n, ...)`` with ``features`` numbers per example to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs))
        return logits
