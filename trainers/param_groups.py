"""Which parameters weight decay shrinks: decided by the type of the module, never by its name.

Names mislead: ``bn1``, ``ln_f`` and ``Sequential.1`` hide norm layers from every pattern that looks for
"norm". Decay pulls weights towards zero, which regularizes a matrix; it has no such meaning for the scale of
a norm layer or for a bias (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019; Brown et al.,
GPT-3, 2020).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from search_spaces.optimizers import Decay

# _NormBase is the one parent of every BatchNorm, InstanceNorm, SyncBatchNorm and of their lazy forms.
NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)


class ParameterGroups(NamedTuple):
    """The names of a model's trainable parameters, in the order of ``named_parameters()``."""

    decayed: tuple[str, ...]
    exempt: tuple[str, ...]


def split_parameters(model: nn.Module, decay: Decay, decay_embeddings: bool) -> ParameterGroups:
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
    return ParameterGroups(tuple(decayed), tuple(exempt))


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
