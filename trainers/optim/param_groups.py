"""Decide which parameters get weight decay, by the type of their module and never by its name.

Names are unreliable: the norm layers ``bn1``, ``ln_f`` and ``Sequential.1`` do not match a pattern such as "norm".
Decay pulls weights towards zero, which regularizes a matrix but not a bias or the scale of a norm layer (Loshchilov &
Hutter, "Decoupled Weight Decay Regularization", 2019; Brown et al., GPT-3, 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from search_spaces.recipe.optimizers import Decay

EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)


class DecaySplit(NamedTuple):
    """Names of the trainable parameters of a model, in the order of ``named_parameters()``."""

    decayed: tuple[str, ...]
    exempt: tuple[str, ...]

    def only(self, wanted: Callable[[str], bool]) -> DecaySplit:
        """Return the wanted names only."""
        return DecaySplit(tuple(filter(wanted, self.decayed)), tuple(filter(wanted, self.exempt)))


def split_parameters(model: nn.Module, decay: Decay, decay_embeddings: bool) -> DecaySplit:
    """Assign every trainable parameter to exactly one of two groups.

    With ``matrices``, these are exempt: every parameter of a norm layer, every bias (including those of LSTM and of
    attention), every parameter with fewer than two dimensions and, unless ``decay_embeddings``, every embedding table.

    Args:
        model: Model whose parameters may be shared between modules. A shared parameter is listed once, under its first
            name, and is exempt if it is exempt in any of its modules.
        decay: ``all`` decays everything, ``none`` nothing, ``matrices`` as above.
        decay_embeddings: Whether embedding tables count as matrices.
    """
    exempt_ids = _exempt_ids(model, decay_embeddings)
    decayed: list[str] = []
    exempt: list[str] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        shrinks = decay == "all" or (decay == "matrices" and id(parameter) not in exempt_ids)
        (decayed if shrinks else exempt).append(name)
    return DecaySplit(tuple(decayed), tuple(exempt))


def _exempt_ids(model: nn.Module, decay_embeddings: bool) -> set[int]:
    """Return the ids of the parameters that ``matrices`` exempts in any of their modules."""
    exempt_modules = NORMS if decay_embeddings else NORMS + EMBEDDINGS
    return {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if isinstance(module, exempt_modules) or parameter.ndim <= 1 or _is_bias(name)
    }


def _is_bias(name: str) -> bool:
    """Return whether a parameter is a bias by its name without the module: ``bias_hh_l0``, ``in_proj_bias``."""
    return "bias" in name.split("_")


def torch_groups(
    model: nn.Module, split: DecaySplit, weight_decay: float, lr: float, scales: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return torch's parameter groups without empty ones: first those with weight decay, then the others.

    Every group has ``lr_scale``, a factor on the peak learning rate. The learning rate of a step must be set to
    ``group["lr"] = peak * group["lr_scale"] * factor``.

    Args:
        model: Model with the parameters.
        split: Names of the decayed and the exempt parameters.
        weight_decay: Weight decay of the decayed parameters; it is 0 for the exempt ones.
        lr: Peak learning rate.
        scales: Factor on the peak by parameter name.
    """
    parameters = dict(model.named_parameters())
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for exempt, names in enumerate(split):
        for name in names:
            members.setdefault((scales[name], bool(exempt)), []).append(parameters[name])
    return [
        {"params": params, "weight_decay": 0.0 if exempt else weight_decay, "lr": lr * scale, "lr_scale": scale}
        for (scale, exempt), params in members.items()
    ]


# _NormBase is the parent of every BatchNorm, InstanceNorm, SyncBatchNorm and of their lazy forms.
NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
