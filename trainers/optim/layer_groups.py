"""A model as a row of blocks from its input to its head: layer-wise learning rates, the head, frozen parts.

What a block is, in the order in which modules are registered:

- ``Sequential``, ``ModuleList`` and ``ModuleDict`` are taken apart, and so is every module that contains a
  ``ModuleList`` somewhere (the usual home of a transformer's layers). The items of a ``ModuleList`` are blocks.
- Every other module with parameters is a block, except that a norm layer belongs to the block before it.
- The head is the module that is called ``head``, ``classifier``, ``fc``, ``lm_head`` or ``score``, the last one
  if there are several, not looking inside blocks; without such a name it is the last block. It always counts
  as the last block.
- Parameters that belong to no block, such as a class token, count with the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import nn

from search_spaces.errors import UsageError, suggest
from search_spaces.recipe.optimizers import ParameterGroups
from trainers.optim.param_groups import NORMS

HEADS = frozenset({"head", "classifier", "fc", "lm_head", "score"})

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Blocks(NamedTuple):
    """Dotted names of modules: each body block may have several, a norm after its layer."""

    body: tuple[tuple[str, ...], ...]
    head: str


def find_layer_groups(model: nn.Module) -> Blocks:
    """Return the blocks of a model. One without submodules is its own head, under the name ``""``."""
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
    return Blocks(tuple(body), head)


def _walk(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if next(child.parameters(), None) is None:
            continue
        if name in HEADS or isinstance(module, nn.ModuleList) or not _is_taken_apart(child):
            yield path, child
        else:
            yield from _walk(child, f"{path}.")


def _is_taken_apart(module: nn.Module) -> bool:
    return isinstance(module, _LISTS) or any(isinstance(inner, nn.ModuleList) for inner in module.modules())


def _is_norm(module: nn.Module) -> bool:
    """Whether nothing but norm layers in it has parameters."""
    owners = (inner for inner in module.modules() if next(inner.parameters(recurse=False), None) is not None)
    return all(isinstance(owner, NORMS) for owner in owners)


def lr_scales(model: nn.Module, groups: ParameterGroups) -> Mapping[str, float]:
    """Return every parameter's share of the learning rate.

    A block that is ``n`` blocks before the head has ``layer_decay ** n``, the head has ``head_lr_scale``. A
    parameter that is shared between modules belongs to the first of them.
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
    """Whether a dotted name is ``prefix`` or begins with it, part by part; ``""`` is the beginning of all."""
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def freeze(model: nn.Module, frozen: Sequence[str]) -> None:
    """Let the parameters under these dotted names keep their values. Statistics of BatchNorm still move.

    Raises:
        UsageError: A name is not in the model, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    for prefix in frozen:
        names = [name for name in parameters if is_under(name, prefix)]
        if not names:
            modules = [name for name, _ in model.named_children()]
            raise UsageError(f"groups.frozen: the model has no parameter under {prefix!r}; {suggest(prefix, modules)}")
        for name in names:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise UsageError(f"groups.frozen: {', '.join(frozen) or 'the model'} leaves no parameter to train")
