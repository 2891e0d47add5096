"""Convolutional networks for small images and signals."""

from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Norm
from trainers.models.norms import channel_norm


class CNN2d(nn.Module):
    """Convolutions, each followed by max pooling, then one linear layer.

    Args:
        size: Height and width of an image.
        channels: Number of channels of the first convolution; every further convolution doubles it.
        classes: Number of logits per image.
        dropout: Probability of zeroing an activation before the linear layer.
        depth: Number of convolutions.
        norm: Kind of the norm between a convolution and its ReLU.
        colours: Number of channels of an image.

    Raises:
        UsageError: The image is too small for this depth.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        classes: int,
        dropout: float,
        depth: int = 2,
        norm: Norm = "none",
        colours: int = 1,
    ) -> None:
        super().__init__()
        if size >> depth == 0:
            raise UsageError(f"model.depth: an image of {size} pixels can be halved {size.bit_length() - 1} times")
        layers: list[nn.Module] = []
        inputs, outputs = colours, channels
        for _ in range(depth):
            layers.append(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))
            if norm != "none":
                layers.append(channel_norm(norm, outputs, dimensions=2))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            inputs, outputs = outputs, 2 * outputs
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(inputs * (size >> depth) ** 2, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(n, colours, size, size)`` to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs))
        return logits


class CNN1d(nn.Module):
    """Strided convolutions, each of which halves the length of the signal, then one linear layer.

    Args:
        length: Length of a signal.
        channels: Number of channels of every convolution.
        classes: Number of logits per signal.
        dropout: Probability of zeroing an activation before the linear layer.
        depth: Number of convolutions.
        norm: Kind of the norm between a convolution and its ReLU.
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
