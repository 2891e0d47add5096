"""Which modules are norm layers."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

# _NormBase is the one parent of every BatchNorm, InstanceNorm, SyncBatchNorm and of their lazy forms.
NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
