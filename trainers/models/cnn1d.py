"""A convolutional network for short signals."""

from __future__ import annotations

from torch import Tensor, nn


class CNN1d(nn.Module):
    """Three strided convolutions, then one linear layer over what is left of the signal.

    Args:
        length: Steps of a signal; a multiple of 8.
        channels: Of every convolution.
        classes: Logits per signal.
        dropout: Probability of zeroing an activation before the linear layer.
    """

    def __init__(self, length: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, channels, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(channels * length // 8, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map signals ``(n, length)`` to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs.unsqueeze(1)))
        return logits
