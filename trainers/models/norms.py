"""Normalization layers by the names of a recipe."""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Norm

_GROUPS = 8  # at most, and fewer when they would not divide the channels


class ChannelsLast(nn.Module):
    """Applies a norm of the last dimension to channels that are the second one."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize ``(n, channels, ...)``."""
        outputs: Tensor = self.norm(inputs.movedim(1, -1))
        return outputs.movedim(-1, 1)


def unit_norm(norm: Norm, width: int) -> nn.Module:
    """Return the norm of hidden units ``(n, width)``."""
    match norm:
        case "batch":
            return nn.BatchNorm1d(width)
        case "layer":
            return nn.LayerNorm(width)
        case "rms":
            return nn.RMSNorm(width)
        case "group":
            return nn.GroupNorm(_groups(width), width)
        case "instance":
            raise UsageError("model.norm: instance needs positions to average over, and an mlp has none; use layer")
        case "none":
            return nn.Identity()


def _groups(width: int) -> int:
    """The most groups of one size that a width has, up to the usual number: 25 channels are 5 groups, not 1."""
    return max(count for count in range(1, _GROUPS + 1) if width % count == 0)


def channel_norm(norm: Norm, channels: int, dimensions: int) -> nn.Module:
    """Return the norm of feature maps ``(n, channels, ...)`` with ``dimensions`` of space, 1 or 2.

    ``layer`` is over channels and space together, ``rms`` over the channels of every position.
    """
    match norm:
        case "batch":
            return nn.BatchNorm1d(channels) if dimensions == 1 else nn.BatchNorm2d(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "rms":
            return ChannelsLast(nn.RMSNorm(channels))
        case "group":
            return nn.GroupNorm(_groups(channels), channels)
        case "instance":
            one = nn.InstanceNorm1d if dimensions == 1 else nn.InstanceNorm2d
            return one(channels, affine=True)
        case "none":
            return nn.Identity()


def token_norm(norm: Norm, width: int) -> nn.Module:
    """Return the norm of a sequence's tokens ``(n, length, width)``, each by itself."""
    match norm:
        case "layer":
            return nn.LayerNorm(width)
        case "rms":
            return nn.RMSNorm(width)
        case "none":
            return nn.Identity()
        case _:
            raise UsageError(f"model.norm: {norm} would mix the positions of a sequence; use layer, rms or none")
