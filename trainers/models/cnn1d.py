"""A convolutional network for short signals."""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces.recipe.model import Norm
from trainers.models.norms import channel_norm


class CNN1d(nn.Module):
    """Strided convolutions, each of which halves the signal, then one linear layer over what is left of it.

    Args:
        length: Steps of a signal.
        channels: Of every convolution.
        classes: Logits per signal.
        dropout: Probability of zeroing an activation before the linear layer.
        depth: Convolutions.
        norm: Between a convolution and its ReLU.
    """

    def __init__(
        self, length: int, channels: int, classes: int, dropout: float, depth: int = 3, norm: Norm = "none"
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(depth):
            inputs, kernel = (channels, 3) if index else (1, 5)
            layers.append(nn.Conv1d(inputs, channels, kernel, stride=2, padding=kernel // 2))
            if norm != "none":
                layers.append(channel_norm(norm, channels, dimensions=1))
            layers.append(nn.ReLU())
            length = (length + 1) // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels * length, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map signals ``(n, length)`` to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs.unsqueeze(1)))
        return logits
