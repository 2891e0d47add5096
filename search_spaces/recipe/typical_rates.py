"""The learning rates at which each optimizer is usually found: one table for everything that judges or advises one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces.recipe.averaging import SWA
from search_spaces.recipe.optimizers import Muon, Optimizer, Sophia
from search_spaces.recipe.recipe import Recipe

SMALL_BATCH = 32
"""Effective batches up to this size want the gentle end of SGD's range: their gradients are noisier."""


@dataclass(frozen=True)
class UsualRates:
    """Peak learning rates.

    Attributes:
        low: Lower end, training from scratch.
        high: Upper end.
        gentle: Lower end in fine-tunes and with small batches.
        source: Whose experience it is.
    """

    low: float
    high: float
    gentle: float
    source: str


USUAL_RATES: Mapping[str, UsualRates] = {
    "adamw": UsualRates(1e-4, 3e-3, 1e-5, "Loshchilov and Hutter, ICLR 2019"),
    "adam": UsualRates(1e-4, 3e-3, 1e-5, "Kingma and Ba, ICLR 2015"),
    "adam_l2": UsualRates(1e-4, 3e-3, 1e-5, "Kingma and Ba, ICLR 2015"),
    "nadam": UsualRates(1e-4, 2e-3, 1e-5, "Dozat, ICLR workshop 2016"),
    "radam": UsualRates(1e-4, 1e-3, 1e-5, "Liu et al., ICLR 2020"),
    "rmsprop": UsualRates(1e-4, 1e-3, 1e-5, "Tieleman and Hinton, 2012"),
    "adagrad": UsualRates(1e-3, 1e-1, 1e-4, "Duchi et al., JMLR 2011"),
    "adafactor": UsualRates(1e-3, 1e-2, 1e-4, "Shazeer and Stern, ICML 2018"),
    "schedule_free_adamw": UsualRates(1e-4, 1e-2, 1e-5, "Defazio et al., NeurIPS 2024"),
    "sgd": UsualRates(1e-2, 1e-1, 1e-3, "Goyal et al., 2017"),
    "lion": UsualRates(1e-5, 3e-4, 1e-6, "Chen et al., NeurIPS 2023"),
    "lars": UsualRates(1e-1, 1e1, 1e-2, "You et al., 2017; Chen et al., SimCLR, ICML 2020"),
    "lamb": UsualRates(1e-3, 1e-2, 1e-4, "You et al., ICLR 2020"),
    # Of lr * clip, the largest step of a weight, which is what compares with the rate of AdamW.
    "sophia": UsualRates(1e-4, 3e-3, 1e-5, "Liu et al., ICLR 2024"),
    "shampoo": UsualRates(1e-2, 1.0, 1e-3, "Gupta et al., ICML 2018"),
    "muon": UsualRates(5e-3, 5e-2, 5e-4, "Jordan et al., 2024"),
}


@dataclass(frozen=True)
class Rate:
    """One learning rate of a recipe.

    Attributes:
        field: Where it is written.
        kind: Of the optimizer that it drives.
        value: The rate as it is written.
        usual: The table's row for it, in the units of `value`.
    """

    field: str
    kind: str
    value: float
    usual: UsualRates


def rates(recipe: Recipe) -> Iterator[Rate]:
    """Return every peak learning rate of a recipe, as written: before the scaling by batch size."""
    yield from _rates("optimizer", recipe.optimizer)
    if recipe.switch is not None:
        yield from _rates("switch.to", recipe.switch.to)
    if isinstance(recipe.averaging, SWA) and recipe.averaging.lr is not None:
        last = recipe.optimizer if recipe.switch is None else recipe.switch.to
        yield Rate("averaging.lr", last.kind, recipe.averaging.lr, usual_rates(last))


def _rates(section: str, optimizer: Optimizer) -> Iterator[Rate]:
    yield Rate(f"{section}.lr", optimizer.kind, optimizer.lr, usual_rates(optimizer))
    if isinstance(optimizer, Muon):
        yield Rate(f"{section}.adamw_lr", "adamw", optimizer.adamw_lr, USUAL_RATES["adamw"])


def usual_rates(optimizer: Optimizer) -> UsualRates:
    """Return the usual rates of an optimizer, in the units of its `lr`."""
    if isinstance(optimizer, Muon) and optimizer.adjust_lr == "match_rms_adamw":
        return USUAL_RATES["adamw"]
    usual = USUAL_RATES[optimizer.kind]
    if isinstance(optimizer, Sophia):
        clip = optimizer.clip
        return UsualRates(usual.low / clip, usual.high / clip, usual.gentle / clip, usual.source)
    return usual
