"""Make the normalization layer that a recipe names."""

from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Norm

_GROUPS = 8  # at most; fewer if the channels are not divisible


class ChannelsLast(nn.Module):
    """Applies a norm over the last dimension to the second dimension, the channels."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize ``(n, channels, ...)``."""
        outputs: Tensor = self.norm(inputs.movedim(1, -1))
        return outputs.movedim(-1, 1)


def unit_norm(norm: Norm, width: int) -> nn.Module:
    """Return a norm for hidden units ``(n, width)``."""
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
            raise UsageError("model.norm: instance needs positions to average over, but an mlp has none; use layer")
        case "none":
            return nn.Identity()


def _groups(width: int) -> int:
    """Return the largest number of equal groups up to 8: 5 for 25 channels."""
    return max(count for count in range(1, _GROUPS + 1) if width % count == 0)


def channel_norm(norm: Norm, channels: int, dimensions: int) -> nn.Module:
    """Return a norm for feature maps ``(n, channels, ...)`` with 1 or 2 spatial ``dimensions``.

    ``layer`` normalizes over channels and space together, ``rms`` over the channels at every position.
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
    """Return a norm for tokens ``(n, length, width)`` that normalizes each token separately."""
    match norm:
        case "layer":
            return nn.LayerNorm(width)
        case "rms":
            return nn.RMSNorm(width)
        case "none":
            return nn.Identity()
        case _:
            raise UsageError(f"model.norm: {norm} would mix the positions of a sequence; use layer, rms or none")
