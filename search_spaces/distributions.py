"""Distributions over the values of one recipe field, and how YAML spells them.

Each is a frozen class with `from_unit`, its inverse cumulative distribution function: it takes a number of
[0, 1) to a value, so that random, Sobol and grid points all come from the same definition. In YAML a
distribution is a mapping with one key: `{loguniform: [1e-5, 1e-1]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.continuous import LogUniform, Normal, Uniform
from search_spaces.errors import UsageError
from search_spaces.finite import Choice, Constant, QUniform, RandInt
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


def make_distribution(name: str, arguments: object) -> Distribution:
    """Return the distribution that `{name: arguments}` spells in YAML.

    Args:
        name: One of `DISTRIBUTION_NAMES`.
        arguments: What stands behind the name: a list of numbers, of options, or one value.

    Raises:
        UsageError: With the law that the arguments break, and what was found.
    """
    if name in ("choice", "constant"):
        return Choice(arguments) if name == "choice" else Constant(arguments)  # type: ignore[arg-type]
    shape = _SHAPES[name]
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        raise UsageError(f"{name} is written {name}: {shape}, found {show(arguments)}")
    if len(arguments) != shape.count(",") + 1:
        raise UsageError(f"{name} is written {name}: {shape}, found {len(arguments)} arguments")
    return _CLASSES[name](*arguments)


def canonical(distribution: Distribution) -> dict[str, Value | list[Value]]:
    """Return the one-key mapping `{name: arguments}` that spells a distribution in YAML."""
    return {distribution.name: distribution.arguments()}
