"""Recurrent network: LSTM or GRU."""

from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.recipe.model import Norm
from trainers.models.norms import token_norm


class Recurrent(nn.Module):
    """Recurrent layers over tokens, then one linear layer.

    Args:
        cell: ``gru`` (Cho et al., 2014) or ``lstm`` (Hochreiter and Schmidhuber, 1997).
        embed: Module that maps examples to tokens ``(n, length, features)``.
        features: Size of a token.
        length: Number of tokens of an example; the linear layer reads all states of both directions. None for a layer
            in one direction of which every state is read, to predict the token after it.
        width: Number of units per direction.
        depth: Number of stacked layers.
        classes: Number of logits per example; without ``length``, per token.
        dropout: Probability of zeroing an activation between stacked layers and before the linear layer, but not
            between steps, where it would erase the memory (Zaremba et al., 2014).
        norm: Kind of the norm before the linear layer.
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
        between = dropout if depth > 1 else 0.0  # torch warns about dropout with a single layer
        self.cells = make(features, width, depth, dropout=between, bidirectional=self.reads_all, batch_first=True)
        directions = 2 if self.reads_all else 1
        self.norm = token_norm(norm, directions * width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(directions * width * (length or 1), classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map examples to logits ``(n, classes)``; without ``length``, to those of every token."""
        states: Tensor = self.norm(self.cells(self.embed(inputs))[0])
        read = torch.flatten(states, 1) if self.reads_all else states
        logits: Tensor = self.head(self.dropout(read))
        return logits
