"""Which parameters weight decay shrinks: decided by the type of the module, never by its name.

Names mislead: ``bn1``, ``ln_f`` and ``Sequential.1`` hide norm layers from every pattern that looks for
"norm". Decay pulls weights towards zero, which regularizes a matrix; it has no such meaning for the scale of
a norm layer or for a bias (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019; Brown et al.,
GPT-3, 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from search_spaces.recipe.optimizers import Decay

EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)


class DecaySplit(NamedTuple):
    """The names of a model's trainable parameters, in the order of ``named_parameters()``."""

    decayed: tuple[str, ...]
    exempt: tuple[str, ...]

    def only(self, wanted: Callable[[str], bool]) -> DecaySplit:
        """Return the same without the names that are not wanted."""
        return DecaySplit(tuple(filter(wanted, self.decayed)), tuple(filter(wanted, self.exempt)))


def split_parameters(model: nn.Module, decay: Decay, decay_embeddings: bool) -> DecaySplit:
    """Put every trainable parameter into exactly one of two groups.

    Under ``matrices`` these are exempt: every parameter of a norm layer, every bias (those of LSTM and of
    attention too), every parameter of fewer than two dimensions and, unless ``decay_embeddings``, every
    embedding table.

    Args:
        model: Its parameters may be shared between modules; a shared one is listed once, under its first
            name, and is exempt when any of the modules that own it exempts it.
        decay: ``all`` decays everything, ``none`` nothing, ``matrices`` as above.
        decay_embeddings: Whether embedding tables are matrices in this sense.
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
    """Return the ids of the parameters that ``matrices`` leaves out, asked of every module that owns them."""
    exempt_modules = NORMS if decay_embeddings else NORMS + EMBEDDINGS
    return {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if isinstance(module, exempt_modules) or parameter.ndim <= 1 or _is_bias(name)
    }


def _is_bias(name: str) -> bool:
    """Whether a parameter's own name, without its module's, says so: ``bias_hh_l0``, ``in_proj_bias``."""
    return "bias" in name.split("_")


def torch_groups(
    model: nn.Module, split: DecaySplit, weight_decay: float, lr: float, scales: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return torch's parameter groups: first those that decay, then those that do not, without empty ones.

    Every group carries ``lr_scale``, its share of the peak learning rate; whoever sets the rate of a step sets
    ``group["lr"] = peak * group["lr_scale"] * factor``.

    Args:
        model: Owner of the parameters.
        split: Their names.
        weight_decay: Of the decayed ones; the exempt ones have 0.
        lr: The peak.
        scales: Share of the peak by parameter name.
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


# _NormBase is the one parent of every BatchNorm, InstanceNorm, SyncBatchNorm and of their lazy forms.
NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
