"""Divide a model into layer groups from input to head, for layer-wise learning rates and frozen parts.

The layer groups, in the order in which modules are registered:

- ``Sequential``, ``ModuleList`` and ``ModuleDict`` are divided further, and so is every module that contains a
  ``ModuleList`` (as transformers do for their layers). Each item of a ``ModuleList`` is a group.
- Every other module with parameters is a group, except that a norm layer belongs to the group before it.
- The head is the module named ``head``, ``classifier``, ``fc``, ``lm_head`` or ``score``, the last one if there are
  several; modules inside groups are not considered. Without such a name it is the last group. The head always counts as
  the last group.
- Parameters outside all groups, such as a class token, belong to the first group.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from search_spaces.errors import UsageError, suggest
from search_spaces.recipe.optimizers import ParameterGroups
from trainers.optim.param_groups import NORMS

HEADS = frozenset({"head", "classifier", "fc", "lm_head", "score"})

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class LayerGroups(NamedTuple):
    """Dotted names of modules. A group of the body may have several: a layer and the norm after it."""

    body: tuple[tuple[str, ...], ...]
    head: str


def find_layer_groups(model: nn.Module) -> LayerGroups:
    """Return the layer groups of a model. A model without submodules is its own head, named ``""``."""
    found = list(_walk(model, ""))
    heads = [path for path, _ in found if path.rpartition(".")[2] in HEADS]
    head = heads[-1] if heads else next((path for path, child in reversed(found) if not _is_norm(child)), "")
    body: list[tuple[str, ...]] = []
    for path, child in found:
        if path == head:
            continue
        if body and _is_norm(child):
            body[-1] = (*body[-1], path)
        else:
            body.append((path,))
    return LayerGroups(tuple(body), head)


def _walk(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if next(child.parameters(), None) is None:
            continue
        if name in HEADS or isinstance(module, nn.ModuleList) or not _is_divided(child):
            yield path, child
        else:
            yield from _walk(child, f"{path}.")


def _is_divided(module: nn.Module) -> bool:
    # The parametrizations of a layer, such as weight_norm, are a ModuleList, too.
    lists = (inner for inner in module.modules() if isinstance(inner, nn.ModuleList))
    return isinstance(module, _LISTS) or any(not isinstance(inner, ParametrizationList) for inner in lists)


def _is_norm(module: nn.Module) -> bool:
    """Return whether only norm layers in the module have parameters."""
    owners = (inner for inner in module.modules() if next(inner.parameters(recurse=False), None) is not None)
    return all(isinstance(owner, NORMS) for owner in owners)


def lr_scales(model: nn.Module, groups: ParameterGroups) -> Mapping[str, float]:
    """Return the factor on the learning rate of every parameter.

    It is ``layer_decay ** n`` for a group ``n`` groups before the head, and ``head_lr_scale`` for the head. A parameter
    that is shared between modules belongs to the first of them.
    """
    body, head = find_layer_groups(model)
    depths = {path: len(body) - i for i, paths in enumerate(body) for path in paths}
    scales = {}
    for name, _ in model.named_parameters():
        if is_under(name, head):
            scales[name] = groups.head_lr_scale
        else:
            depth = next((depth for path, depth in depths.items() if is_under(name, path)), len(body))
            scales[name] = groups.layer_decay**depth
    return scales


def is_under(name: str, prefix: str) -> bool:
    """Return whether a dotted name is ``prefix`` or starts with ``prefix.``; ``""`` is a prefix of every name."""
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def parameters_under(model: nn.Module, prefix: str) -> list[nn.Parameter]:
    """Return the parameters that have a dotted name under a prefix. A shared parameter has one name in each module.

    A parametrized weight also has its plain name: ``layer.weight`` for ``layer.parametrizations.weight.original0``.
    """
    named = model.named_parameters(remove_duplicate=False)
    return [
        parameter
        for name, parameter in named
        if is_under(name, prefix) or is_under(name.replace("parametrizations.", ""), prefix)
    ]


def frozen_modules(model: nn.Module, frozen: Sequence[str]) -> list[nn.Module]:
    """Return the modules under these dotted names, and the single layers whose parameters are all under them."""
    parameters = {id(parameter) for prefix in frozen for parameter in parameters_under(model, prefix)}
    found = []
    for name, module in model.named_modules(remove_duplicate=False):
        own = {id(parameter) for parameter in module.parameters()}
        is_layer = next(module.children(), None) is None
        if any(is_under(name, prefix) for prefix in frozen) or (is_layer and own and own <= parameters):
            found.append(module)
    return found


def training_mode(model: nn.Module, frozen: Sequence[str]) -> None:
    """Put a model into training mode, but its frozen modules into eval mode.

    A frozen module has no dropout, and its BatchNorm layers use their statistics and do not change them.
    """
    model.train()
    for module in frozen_modules(model, frozen):
        module.training = False  # not of its submodules, which may be trained


def freeze(model: nn.Module, frozen: Sequence[str]) -> None:
    """Freeze the parameters under these dotted names; a shared parameter has several and is frozen under any of them.

    Raises:
        UsageError: A name is not in the model, or no parameter is left to train.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    for prefix in frozen:
        parameters = parameters_under(model, prefix)
        if not parameters and prefix not in modules:  # a layer without parameters has a mode
            names = suggest(prefix, _beside(modules, prefix))
            raise UsageError(f"groups.frozen: the model has no parameter under {prefix!r}; {names}")
        for parameter in parameters:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"groups.frozen: {', '.join(frozen) or 'the model'} leaves no parameter to train")


def _beside(modules: Mapping[str, nn.Module], prefix: str) -> list[str]:
    """Return the names in the innermost module that a dotted name leads to."""
    place = prefix
    while place not in modules:
        place = place.rpartition(".")[0]
    inside = modules[place]
    names = [name for name, _ in (*inside.named_children(), *inside.named_parameters(recurse=False))]
    return [f"{place}.{name}" if place else name for name in names]
