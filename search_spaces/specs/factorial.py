"""Factorial designs: the arms that combine factors, and the contrasts that estimate the effect of each factor.

A factor is off in the base recipe and on with its own settings. A contrast is a weighted sum of the results of the arms
of one pair. Its weights sum to zero, which removes what the arms of a pair have in common.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

FactorialDesign = Literal["one_at_a_time", "add_one", "both_ends", "factorial", "fractional"]

_MAX_FACTORIAL = 4
# Generators of two-level designs of resolution V or more: each defines one of the last factors as the product of these
# first ones. Source: Box, Hunter and Hunter, "Statistics for Experimenters", 2005, table 6.22.
_GENERATORS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    5: ((0, 1, 2, 3),),
    6: ((0, 1, 2, 3, 4),),
    7: ((0, 1, 2, 3, 4, 5),),
    8: ((0, 1, 2, 3), (0, 1, 4, 5)),
}
FACTOR_LIMITS: Mapping[FactorialDesign, tuple[int, int]] = {
    "one_at_a_time": (1, 20),
    "add_one": (1, 20),
    "both_ends": (1, 20),
    "factorial": (2, _MAX_FACTORIAL),
    "fractional": (min(_GENERATORS), max(_GENERATORS)),
}
"""Minimum and maximum number of factors of each design."""


@dataclass(frozen=True)
class Contrast:
    """A comparison of arms.

    Attributes:
        name: Name in the report.
        coefficients: Arm -> weight; the weights sum to zero.
        kind: `treatment` for a main effect, `interaction` for the effect of two factors beyond their sum.
    """

    name: str
    coefficients: Mapping[str, float]
    kind: Literal["treatment", "interaction"] = "treatment"

    @property
    def simple(self) -> tuple[str, str] | None:
        """``(control, treatment)`` if one arm is compared with one other, and otherwise None."""
        if sorted(self.coefficients.values()) != [-1.0, 1.0]:
            return None
        control, treatment = sorted(self.coefficients, key=lambda arm: self.coefficients[arm])
        return control, treatment


@dataclass(frozen=True)
class FactorialArms:
    """The arms as sets of factors that are on, the control first, and their contrasts."""

    arms: Mapping[str, frozenset[str]]
    contrasts: tuple[Contrast, ...]


def factorial_arms(factors: Sequence[str], design: FactorialDesign) -> FactorialArms:
    """Return the arms and contrasts of a factorial design.

    Args:
        factors: Names of the factors, as many as `FACTOR_LIMITS` allows.
        design: `one_at_a_time` removes each factor from the recipe with all of them, `add_one` adds each to the recipe
            with none, and `both_ends` does both. `factorial` has every combination, and `fractional` the smallest half
            or quarter of them in which no main effect or two-factor interaction is confounded with another.
    """
    everything = frozenset(factors)
    if design == "one_at_a_time":
        return _one_by_one("full", everything, {f"without {name}": everything - {name} for name in factors})
    if design == "add_one":
        return _one_by_one("bare", frozenset(), {f"with {name}": frozenset({name}) for name in factors})
    if design == "both_ends":
        up, down = factorial_arms(factors, "add_one"), factorial_arms(factors, "one_at_a_time")
        return FactorialArms({**up.arms, **down.arms}, (*up.contrasts, *down.contrasts))
    return _two_levels(factors, fractional=design == "fractional")


def _one_by_one(control: str, base: frozenset[str], treatments: Mapping[str, frozenset[str]]) -> FactorialArms:
    contrasts = tuple(Contrast(name, {control: -1.0, name: 1.0}) for name in treatments)
    return FactorialArms({control: base, **treatments}, contrasts)


def _two_levels(factors: Sequence[str], fractional: bool) -> FactorialArms:
    generators = _GENERATORS[len(factors)] if fractional else ()
    free = len(factors) - len(generators)
    rows = [
        (*signs, *(math.prod(signs[index] for index in word) for word in generators))
        for signs in itertools.product((-1, 1), repeat=free)
    ]
    rows.sort(key=sum)  # the arm with the fewest factors is the control
    sets = [frozenset(name for name, sign in zip(factors, row, strict=True) if sign > 0) for row in rows]
    arms = {_arm_name(factors, on): on for on in sets}

    def contrast(name: str, members: tuple[str, ...], kind: Literal["treatment", "interaction"]) -> Contrast:
        # For two factors: half the difference between the effects of one with and without the other.
        signs = {arm: math.prod(1 if member in on else -1 for member in members) for arm, on in arms.items()}
        return Contrast(name, {arm: 2.0 * sign / len(arms) for arm, sign in signs.items()}, kind)

    main = (contrast(name, (name,), "treatment") for name in factors)
    pairs = (contrast(" x ".join(two), two, "interaction") for two in itertools.combinations(factors, 2))
    return FactorialArms(arms, (*main, *pairs))


def _arm_name(factors: Sequence[str], on: frozenset[str]) -> str:
    return " + ".join(name for name in factors if name in on) or "none"
