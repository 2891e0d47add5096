"""Distributions over the values of one recipe field, and how YAML spells them.

Each is a frozen class with `from_unit`, its inverse cumulative distribution function: it takes a number of
[0, 1) to a value, so that random, Sobol and grid points all come from the same definition. In YAML a
distribution is a mapping with one key, `{loguniform: [1e-5, 1e-1]}`, and perhaps a prior beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search_spaces.errors import UsageError
from search_spaces.search.continuous import LogUniform, Normal, Uniform
from search_spaces.search.finite import Choice, Constant, QUniform, RandInt
from search_spaces.values import Scalar, Value, show

__all__ = [
    "DISTRIBUTION_NAMES",
    "Choice",
    "Constant",
    "Distribution",
    "FiniteDistribution",
    "LogUniform",
    "Normal",
    "QUniform",
    "RandInt",
    "Scalar",
    "Uniform",
    "Value",
    "canonical",
    "lies_in",
    "make_distribution",
]

FiniteDistribution = QUniform | RandInt | Choice | Constant
"""Those with a `size`, `at(index)` and `grid()`."""

Distribution = Uniform | LogUniform | Normal | FiniteDistribution

_CLASSES: Mapping[str, type[Distribution]] = {
    kind.name: kind for kind in (LogUniform, Uniform, QUniform, RandInt, Choice, Normal, Constant)
}
DISTRIBUTION_NAMES: tuple[str, ...] = tuple(_CLASSES)

_SHAPES = {
    "loguniform": "[low, high]",
    "uniform": "[low, high]",
    "quniform": "[low, high, q]",
    "randint": "[low, high]",
    "normal": "[mean, sd]",
}


def make_distribution(name: str, arguments: object, prior: object = None) -> Distribution:
    """Return the distribution that `{name: arguments}` spells in YAML.

    Args:
        name: One of `DISTRIBUTION_NAMES`.
        arguments: What stands behind the name: a list of numbers, of options, or one value.
        prior: What stands behind `prior`, if that is written.

    Raises:
        UsageError: With the law that the arguments break, and what was found.
    """
    if prior is not None and name not in ("uniform", "loguniform"):
        raise UsageError(f"a prior goes with uniform and loguniform, found {name}; leave it out")
    if name in ("choice", "constant"):
        return Choice(arguments) if name == "choice" else Constant(arguments)  # type: ignore[arg-type]
    shape = _SHAPES[name]
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        raise UsageError(f"{name} is written {name}: {shape}, found {show(arguments)}")
    if len(arguments) != shape.count(",") + 1:
        raise UsageError(f"{name} is written {name}: {shape}, found {len(arguments)} arguments")
    # Only the two that were let through above take a prior.
    return _CLASSES[name](*arguments, *([] if prior is None else [prior]))


def canonical(distribution: Distribution) -> dict[str, Value | list[Value]]:
    """Return the mapping that spells a distribution in YAML: `{name: arguments}`, and its prior if it has one."""
    spelled: dict[str, Value | list[Value]] = {distribution.name: distribution.arguments()}
    if isinstance(distribution, Uniform | LogUniform) and distribution.prior is not None:
        spelled["prior"] = distribution.prior
    return spelled


def lies_in(distribution: Distribution, value: Value) -> bool:
    """Return whether a distribution could have given this value; a baseline may have another."""
    if isinstance(distribution, Choice | Constant):
        return value in distribution.grid()
    if not isinstance(value, int | float):
        return False
    if isinstance(distribution, QUniform):
        step = round((value - distribution.low) / distribution.q)
        return 0 <= step < distribution.size and math.isclose(distribution.at(step), value)
    low, high = distribution.edges()
    return isinstance(low, int | float) and isinstance(high, int | float) and low <= value <= high
