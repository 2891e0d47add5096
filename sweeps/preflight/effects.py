"""Whether each searched argument of a command takes effect: which starts show it, and what differs between two."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces import Distribution, Recipe, SpaceSpec, Value, lookup, resolve
from search_spaces.values import identity
from trainers.command.metrics.reading import Reading

READINGS = 3
"""Readings of a start that are compared: the first one may be older than the first update of the weights."""
_PLACES = (0.75, 0.25, 0.5, 0.95, 0.05)  # in the range, in the order of preference; its ends are often too extreme


@dataclass(frozen=True)
class Probe:
    """A start with another value of one argument.

    Attributes:
        field: The argument, such as `args.lr`.
        value: Its other value.
        recipe: The base recipe with that value.
    """

    field: str
    value: Value
    recipe: Recipe


def probes(spec: SpaceSpec) -> tuple[Probe, ...]:
    """Return a start for each searched argument that always varies and has another value than the baseline."""
    found = []
    for field, distribution in spec.search.items():
        if field.startswith("args.") and field not in spec.when:
            value = _other(distribution, lookup(spec.recipe, field))
            if value is not None:
                found.append(Probe(field, value, resolve(spec.recipe, {field: value})))
    return tuple(found)


def _other(distribution: Distribution, base: Value) -> Value:
    """Return a value of a range that is not the base value; None if there is none."""
    values = (distribution.from_unit(place) for place in _PLACES)
    return next((value for value in values if identity(value) != identity(base)), None)


def enough(readings: Sequence[Reading]) -> bool:
    """Return whether a start has reported enough to be compared."""
    return len(readings) >= READINGS


def different(one: Sequence[Reading], other: Sequence[Reading]) -> set[str]:
    """Return the names of the metrics that differ in the readings that both starts have."""
    names: set[str] = set()
    for first, second in zip(one[:READINGS], other[:READINGS], strict=False):
        if first.progress != second.progress:
            names |= {*first.values, *second.values}
        names |= {name for name in {*first.values, *second.values} if _text(first, name) != _text(second, name)}
    return names


def _text(reading: Reading, name: str) -> str:
    """Return the value of a metric as a text, in which NaN equals NaN."""
    return repr(reading.values.get(name))
