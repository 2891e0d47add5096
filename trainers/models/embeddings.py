"""What turns an example into the tokens ``(n, length, width)`` that transformers and recurrent networks read."""

from __future__ import annotations

from torch import Tensor, nn


class SignalPatches(nn.Module):
    """Cuts signals ``(n, length)`` into patches and maps each to a token."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(1, width, patch, stride=patch)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, length // patch, width)``."""
        tokens: Tensor = self.project(inputs.unsqueeze(1))
        return tokens.transpose(1, 2)


class ImagePatches(nn.Module):
    """Cuts images ``(n, colours, size, size)`` into squares and maps each to a token (Dosovitskiy et al., 2021)."""

    def __init__(self, colours: int, patch: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(colours, width, patch, stride=patch)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, (size // patch) ** 2, width)``, row by row."""
        tokens: Tensor = self.project(inputs)
        return tokens.flatten(2).transpose(1, 2)


class SignalSteps(nn.Module):
    """Makes a token of one number out of every step of signals ``(n, length)``."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, length, 1)``."""
        return inputs.unsqueeze(2)


class ImageRows(nn.Module):
    """Makes a token out of every row of pixels of images ``(n, colours, size, size)``."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, size, colours * size)``."""
        return inputs.transpose(1, 2).flatten(2)
