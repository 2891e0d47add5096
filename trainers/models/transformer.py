"""Small transformer (Vaswani et al., 2017) with a norm before every branch (Xiong et al., 2020)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.recipe.model import Norm
from trainers.models.mup import hidden_linear, output_linear
from trainers.models.norms import token_norm

_HEAD = 16  # size of an attention head; wider models have more heads, so that attention is the same at every width
_EXPANSION = 4


class DropPath(nn.Module):
    """Drops a residual branch for some examples and scales up the others (Huang et al., "Stochastic Depth", 2016)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, ...)`` with the rows of some examples set to 0; in eval mode, return the inputs."""
        if not self.training or self.probability == 0.0:
            return inputs
        kept = inputs.new_empty(len(inputs), *[1] * (inputs.ndim - 1)).bernoulli_(1.0 - self.probability)
        return inputs * kept / (1.0 - self.probability)


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each as a residual branch.

    Dropout is in the feed-forward layer only: in attention it prevents the fused kernel and has little benefit.
    """

    def __init__(
        self, width: int, dropout: float, drop_path: float, norm: Norm, causal: bool, mup_base: int | None
    ) -> None:
        super().__init__()
        self.heads = math.gcd(width, max(1, width // _HEAD))
        self.causal = causal
        self.attention_norm = token_norm(norm, width)
        self.qkv = hidden_linear(width, 3 * width, width, mup_base)
        self.mix = hidden_linear(width, width, width, mup_base)
        self.feed_norm = token_norm(norm, width)
        self.feed = nn.Sequential(
            hidden_linear(width, _EXPANSION * width, width, mup_base),
            nn.GELU(),
            nn.Dropout(dropout),
            hidden_linear(_EXPANSION * width, width, width, mup_base),
            nn.Dropout(dropout),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(n, length, width)`` to tokens of the same shape."""
        tokens = tokens + self.drop_path(self._attend(self.attention_norm(tokens)))
        fed: Tensor = self.drop_path(self.feed(self.feed_norm(tokens)))
        return tokens + fed

    def _attend(self, tokens: Tensor) -> Tensor:
        n, length, width = tokens.shape
        split = self.qkv(tokens).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        out: Tensor = self.mix(mixed.transpose(1, 2).reshape(n, length, width))
        return out


class Transformer(nn.Module):
    """Blocks over tokens with learned positions, then one linear layer.

    Args:
        embed: Module that maps examples to tokens ``(n, length, width)``.
        length: Number of tokens of an example.
        width: Size of a token.
        depth: Number of blocks.
        classes: Number of logits per example; if ``causal``, per token.
        dropout: Probability of zeroing an activation of a feed-forward layer.
        drop_path: Probability of dropping a branch of the last block; it increases linearly from 0 at the first block.
        norm: Kind of the norm before every branch and before the linear layer.
        causal: Whether tokens attend only to earlier tokens and the linear layer reads each of them; otherwise it reads
            the mean of all tokens.
        mup_base: Base width, see mup.py; None for the standard parametrization.
    """

    def __init__(
        self,
        embed: nn.Module,
        length: int,
        width: int,
        depth: int,
        classes: int,
        dropout: float,
        drop_path: float = 0.0,
        norm: Norm = "layer",
        causal: bool = False,
        mup_base: int | None = None,
    ) -> None:
        super().__init__()
        self.embed = embed
        self.causal = causal
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        rates = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        self.blocks = nn.Sequential(*(Block(width, dropout, rate, norm, causal, mup_base) for rate in rates))
        self.norm = token_norm(norm, width)
        self.head = output_linear(width, classes, width, mup_base)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map examples to logits ``(n, classes)``; if causal, to those of every token, ``(n, length, classes)``."""
        tokens = self.norm(self.blocks(self.embed(inputs) + self.positions))
        logits: Tensor = self.head(tokens if self.causal else tokens.mean(1))
        return logits
