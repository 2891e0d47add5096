"""A convolutional network for small grey images."""

from __future__ import annotations

from torch import Tensor, nn


class CNN2d(nn.Module):
    """Two convolutions, each followed by max pooling, then one linear layer.

    Args:
        size: Height and width of an image; a multiple of 4.
        channels: Of the first convolution; the second has twice as many.
        classes: Logits per image.
        dropout: Probability of zeroing an activation before the linear layer.
    """

    def __init__(self, size: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(2 * channels * (size // 4) ** 2, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(n, 1, size, size)`` to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs))
        return logits
