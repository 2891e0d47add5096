"""Every learning rate of a recipe, with the rates at which its optimizer is typically used."""

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.recipe.averaging import SWA
from search_spaces.recipe.optimizer_kinds.optimizer_kind import TypicalRates
from search_spaces.recipe.optimizers import OPTIMIZERS
from search_spaces.recipe.recipe import Recipe

SMALL_BATCH = 32
"""Largest effective batch size for which the gentle end of the range applies, since its gradients are noisier."""


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
    for section, optimizer in recipe.optimizers.items():
        yield Rate(f"{section}.lr", optimizer.kind, optimizer.lr, optimizer.typical_rates())
        for name, kind in optimizer.OTHER_RATES.items():
            yield Rate(f"{section}.{name}", kind, getattr(optimizer, name), OPTIMIZERS[kind].TYPICAL_RATES)
    if isinstance(recipe.averaging, SWA) and recipe.averaging.lr is not None:
        last = recipe.switch.to if recipe.switch else recipe.optimizer
        yield Rate("averaging.lr", last.kind, recipe.averaging.lr, last.typical_rates())
