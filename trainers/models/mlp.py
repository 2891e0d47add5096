"""Multilayer perceptron."""

from collections.abc import Sequence

from torch import Tensor, nn

from search_spaces.recipe.model import Norm
from trainers.models.mup import hidden_linear, output_linear
from trainers.models.norms import unit_norm


class MLP(nn.Module):
    """Linear layers with ReLU and dropout between them.

    Args:
        features: Number of inputs per example.
        hidden: Width of each hidden layer; empty for logistic regression.
        classes: Number of logits per example.
        dropout: Probability of zeroing a hidden activation, after each ReLU.
        norm: Kind of the norm between a linear layer and its ReLU.
        mup_base: Base width, see mup.py; None for the standard parametrization.
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int],
        classes: int,
        dropout: float,
        norm: Norm = "none",
        mup_base: int | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (width_in, width_out) in enumerate(zip((features, *hidden), hidden, strict=False)):
            layers.append(hidden_linear(width_in, width_out, width_out, mup_base if index else None))
            if norm != "none":
                layers.append(unit_norm(norm, width_out))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(nn.Flatten(), *layers)
        last = (features, *hidden)[-1]
        self.head = output_linear(last, classes, last, mup_base if hidden else None)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(n, ...)`` with ``features`` numbers per example to logits ``(n, classes)``."""
        logits: Tensor = self.head(self.body(inputs))
        return logits
