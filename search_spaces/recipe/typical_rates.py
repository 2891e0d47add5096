"""The learning rates of a recipe, with the typical ones of its optimizers."""

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.recipe.averaging import SWA
from search_spaces.recipe.optimizer_kinds.optimizer_kind import TypicalRates
from search_spaces.recipe.optimizers import AdamW, Muon, Optimizer
from search_spaces.recipe.recipe import Recipe

SMALL_BATCH = 32
"""Effective batch size up to which SGD uses the gentle end of its range, since its gradients are noisier."""


@dataclass(frozen=True)
class Rate:
    """One learning rate of a recipe.

    Attributes:
        field: Dotted field of the recipe.
        kind: Kind of the optimizer that uses it.
        value: Value in the recipe.
        typical: Typical values, in the units of `value`.
    """

    field: str
    kind: str
    value: float
    typical: TypicalRates


def rates(recipe: Recipe) -> Iterator[Rate]:
    """Yield every peak learning rate of a recipe, before it is scaled with the batch size."""
    yield from _rates("optimizer", recipe.optimizer)
    if recipe.switch is not None:
        yield from _rates("switch.to", recipe.switch.to)
    if isinstance(recipe.averaging, SWA) and recipe.averaging.lr is not None:
        last = recipe.optimizer if recipe.switch is None else recipe.switch.to
        yield Rate("averaging.lr", last.kind, recipe.averaging.lr, last.typical_rates())


def _rates(section: str, optimizer: Optimizer) -> Iterator[Rate]:
    yield Rate(f"{section}.lr", optimizer.kind, optimizer.lr, optimizer.typical_rates())
    if isinstance(optimizer, Muon):
        yield Rate(f"{section}.adamw_lr", "adamw", optimizer.adamw_lr, AdamW.TYPICAL_RATES)
