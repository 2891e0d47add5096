"""A recurrent network: LSTM or GRU."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.recipe.model import Norm
from trainers.models.norms import token_norm


class Recurrent(nn.Module):
    """Recurrent layers over tokens, then one linear layer.

    Args:
        cell: ``gru`` (Cho et al., 2014) or ``lstm`` (Hochreiter and Schmidhuber, 1997).
        embed: Maps examples to tokens ``(n, length, features)``.
        features: Numbers per token.
        length: Tokens of an example when every state is read, in both directions; None reads the last state of one
            direction, for a sequence that ends where the answer is wanted.
        width: Units of each direction.
        depth: Stacked layers.
        classes: Logits per example.
        dropout: Probability of zeroing an activation between stacked layers, and before the linear layer. Not between
            steps, where it would wipe out the memory (Zaremba et al., 2014).
        norm: Of the states that the linear layer reads.
    """

    def __init__(
        self,
        cell: Literal["gru", "lstm"],
        embed: nn.Module,
        features: int,
        length: int | None,
        width: int,
        depth: int,
        classes: int,
        dropout: float,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        self.embed = embed
        self.reads_all = length is not None
        make = nn.GRU if cell == "gru" else nn.LSTM
        between = dropout if depth > 1 else 0.0  # torch warns of dropout between the layers of one
        self.cells = make(features, width, depth, dropout=between, bidirectional=self.reads_all, batch_first=True)
        directions = 2 if self.reads_all else 1
        self.norm = token_norm(norm, directions * width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(directions * width * (length or 1), classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map examples to logits ``(n, classes)``."""
        states: Tensor = self.cells(self.embed(inputs))[0]
        read = self.norm(states if self.reads_all else states[:, -1:])
        logits: Tensor = self.head(self.dropout(torch.flatten(read, 1)))
        return logits
