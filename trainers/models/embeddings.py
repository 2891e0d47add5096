"""Map examples to tokens ``(n, length, width)``, the inputs of transformers and recurrent networks."""

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
    """Maps every step of signals ``(n, length)`` to a token of one number."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, length, 1)``."""
        return inputs.unsqueeze(2)


class ImageRows(nn.Module):
    """Maps every row of images ``(n, colours, size, size)`` to a token."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, size, colours * size)``."""
        return inputs.transpose(1, 2).flatten(2)
