"""Divide the examples of an epoch into micro-batches and optimizer steps, as BatchNorm needs them."""

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Budget, Recipe
from trainers.nested import Inputs, count_examples, first
from trainers.optim.layer_groups import frozen_modules, training_mode
from trainers.seeding import global_stream

_NormLayer = TypeVar("_NormLayer", bound=_NormBase)

# torch's error if BatchNorm cannot compute a variance.
_ONE_VALUE = "Expected more than 1 value per channel"


def needs_two(model: nn.Module, frozen: Sequence[str]) -> bool:
    """Return whether a model is trained on batches of two and more only, because it has BatchNorm outside frozen parts.

    Args:
        model: Model to train.
        frozen: ``groups.frozen`` of the recipe.
    """
    return bool(trained_norms(model, frozen, _BatchNorm))


def trained_norms(model: nn.Module, frozen: Sequence[str], kind: type[_NormLayer]) -> list[_NormLayer]:
    """Return the layers of a class of norm layers outside the frozen parts of a model."""
    fixed = {id(module) for module in frozen_modules(model, frozen)}
    return [module for module in model.modules() if isinstance(module, kind) and id(module) not in fixed]


def split_batches(examples: Tensor, size: int, at_least_two: bool) -> list[Tensor]:
    """Split examples ``(n, ...)`` into batches.

    Args:
        examples: Examples or their indices.
        size: Number of examples per batch; the last one may be smaller.
        at_least_two: Whether a single last example joins the batch before it, unless ``size`` is 1.
    """
    batches = list(torch.split(examples, size))
    if at_least_two and size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def split_steps(examples: Tensor, budget: Budget, at_least_two: bool) -> list[list[Tensor]]:
    """Split the examples of an epoch into the micro-batches of every optimizer step.

    A step uses ``accumulation`` micro-batches. The rest of an epoch is a smaller last step, so that every example is
    used once per epoch.
    """
    batches = split_batches(examples, budget.batch_size, at_least_two)
    return [batches[start : start + budget.accumulation] for start in range(0, len(batches), budget.accumulation)]


def check_batches(model: nn.Module, inputs: Inputs, recipe: Recipe) -> None:
    """Check that BatchNorm can be trained on these batches.

    Args:
        model: Model to train; a copy of it is run, if at all.
        inputs: Inputs of ``train``, ``(n, ...)``.
        recipe: Recipe with the number of examples per micro-batch and the frozen parts.

    Raises:
        UsageError: All batches have one example, of which a BatchNorm layer cannot compute a variance.
    """
    batch_size, frozen = recipe.budget.batch_size, recipe.groups.frozen
    examples = count_examples(inputs)
    if min(examples, batch_size) > 1 or not needs_two(model, frozen):
        return
    trial = copy.deepcopy(model)
    training_mode(trial, frozen)
    try:
        with torch.no_grad(), global_stream(0, "init"):
            trial(first(inputs, 1))
    except ValueError as error:
        if _ONE_VALUE not in str(error):
            raise
        raise UsageError(
            f"BatchNorm needs two examples or more in a batch, found budget.batch_size {batch_size} and {examples}"
            " in train; increase the smaller one, or use a model without BatchNorm"
        ) from error
