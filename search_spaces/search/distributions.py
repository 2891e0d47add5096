"""Distributions over the values of one recipe field, and their form in YAML.

Each is a frozen class with `from_unit`, its inverse cumulative distribution function, which maps a number of [0, 1) to
a value: random and Sobol points use the same definition. In YAML, a distribution is a mapping with one key and an
optional prior, such as `{loguniform: [1e-5, 1e-1], prior: 1e-3}`.
"""

import math
from collections.abc import Mapping, Sequence

from search_spaces.errors import UsageError
from search_spaces.search.continuous import LogUniform, Normal, Uniform
from search_spaces.search.finite import Choice, Constant, QUniform, RandInt
from search_spaces.values import Scalar, Value, distinct, identity, show

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
    "contains",
    "make_distribution",
    "varies",
]

FiniteDistribution = QUniform | RandInt | Choice | Constant
"""Distributions with `size`, `at(index)` and `grid()`."""

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
    """Return the distribution that YAML writes as `{name: arguments}`.

    Args:
        name: One of `DISTRIBUTION_NAMES`.
        arguments: List of numbers or options, or one value.
        prior: Value of `prior`, or None.

    Raises:
        UsageError: The arguments are invalid.
    """
    if prior is not None and name not in ("uniform", "loguniform"):
        raise UsageError(f"a prior needs uniform or loguniform, found {name}; leave it out")
    if name in ("choice", "constant"):
        return Choice(arguments) if name == "choice" else Constant(arguments)  # type: ignore[arg-type]
    shape = _SHAPES[name]
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        raise UsageError(f"must be written {name}: {shape}, found {show(arguments)}")
    if len(arguments) != shape.count(",") + 1:
        raise UsageError(f"must be written {name}: {shape}, found {len(arguments)} arguments")
    # Only uniform and loguniform have a prior here.
    return _CLASSES[name](*arguments, *([] if prior is None else [prior]))


def canonical(distribution: Distribution) -> dict[str, Value | list[Value]]:
    """Return the YAML mapping of a distribution: `{name: arguments}`, and its prior if it has one."""
    mapping: dict[str, Value | list[Value]] = {distribution.name: distribution.arguments()}
    if isinstance(distribution, Uniform | LogUniform) and distribution.prior is not None:
        mapping["prior"] = distribution.prior
    return mapping


def contains(distribution: Distribution, value: Value) -> bool:
    """Return whether a value is one of a distribution; that of a baseline may not be."""
    if isinstance(distribution, Choice | Constant):
        return identity(value) in map(identity, distribution.grid())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(distribution, QUniform):
        step = round((value - distribution.low) / distribution.q)
        return 0 <= step < distribution.size and math.isclose(distribution.at(step), value)
    low, high = distribution.edges()
    return isinstance(low, int | float) and isinstance(high, int | float) and low <= value <= high


def varies(distribution: Distribution) -> bool:
    """Return whether a distribution has more than one value."""
    return len(distinct(distribution.edges())) > 1
