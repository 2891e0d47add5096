"""What a search varies, flat: one parameter for each range, with the name that samplers know it by and its conditions.

A field may have several ranges: `optimizer.lr` has one for each alternative of `optimizer: {one_of: [...]}`. They are
the parameters `optimizer[adamw].lr` and `optimizer[sgd].lr`, and `optimizer.kind` says which of them is active.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from search_spaces.recipe.fields import flatten, lookup, resolve
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import Choice, Distribution, Value
from search_spaces.values import identity


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One kind that a section may have.

    Attributes:
        kind: Of the section; no two alternatives share one, so that a recipe tells which of them it is.
        settings: Values of this alternative, by their names in the section. What is neither here nor in `search` is
            the base recipe's where that has the same kind, and else the kind's default.
        search: Distribution of each of its searched fields, by their names in the section.
    """

    kind: str
    settings: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    search: Mapping[str, Distribution] = dataclasses.field(default_factory=dict)


Conditions = Mapping[str, tuple[Value, ...]]
"""Field -> the values with which it lets something be active; all of them must."""

OneOf = Mapping[str, tuple[Alternative, ...]]
"""Section -> its alternatives."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One range.

    Attributes:
        name: Of all parameters of a search, no two share one.
        field: Dotted field of the recipe that it sets.
        distribution: Of its values.
        when: What it is active under; always if there is nothing.
    """

    name: str
    field: str
    distribution: Distribution
    when: Conditions = dataclasses.field(default_factory=dict)


class Parameters:
    """The parameters of a search over a base recipe.

    A point is `{name: value}` of its active parameters.

    Args:
        recipe: The base recipe.
        search: Distribution of each plain field.
        one_of: Alternatives of sections.
        when: Conditions of plain fields.
        constraints: What a point has to satisfy.
    """

    def __init__(
        self,
        recipe: Recipe,
        search: Mapping[str, Distribution],
        one_of: Mapping[str, tuple[Alternative, ...]] = {},
        when: Mapping[str, Conditions] = {},
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self.recipe = recipe
        self.one_of = one_of
        self.constraints = constraints
        self.every = _in_order(tuple(_parameters(search, one_of, when)))
        self._bases: dict[tuple[tuple[str, Value], ...], Mapping[str, Value]] = {}

    @property
    def distributions(self) -> dict[str, Distribution]:
        """Distribution of each parameter, active or not."""
        return {parameter.name: parameter.distribution for parameter in self.every}

    @property
    def conditional(self) -> bool:
        """Whether there are points in which a parameter is not active."""
        return any(parameter.when for parameter in self.every)

    def walk(self, choose: Callable[[Parameter], Value]) -> dict[str, Value]:
        """Return the point that comes of choosing a value for each active parameter, conditions first."""
        point: dict[str, Value] = {}
        values: dict[str, Value] = {}
        for parameter in self.every:
            if self.active(parameter, values):
                point[parameter.name] = values[parameter.field] = choose(parameter)
        return point

    def points(self, values_of: Callable[[Parameter], Iterable[Value]]) -> Iterator[dict[str, Value]]:
        """Yield every point that can be chosen from some values of each parameter; the last one varies fastest."""
        yield from self._points(values_of, 0, {}, {})

    def _points(
        self,
        values_of: Callable[[Parameter], Iterable[Value]],
        at: int,
        point: Mapping[str, Value],
        values: Mapping[str, Value],
    ) -> Iterator[dict[str, Value]]:
        while at < len(self.every) and not self.active(self.every[at], values):
            at += 1
        if at == len(self.every):
            yield dict(point)
            return
        parameter = self.every[at]
        for value in values_of(parameter):
            chosen = {**point, parameter.name: value}
            yield from self._points(values_of, at + 1, chosen, {**values, parameter.field: value})

    def settings(self, point: Mapping[str, Value]) -> dict[str, Value]:
        """Return the value of each field that a point sets, those that come with its alternatives included."""
        values = {parameter.field: point[parameter.name] for parameter in self.every if parameter.name in point}
        return {**self.with_alternatives(values), **values}

    def resolved(self, point: Mapping[str, Value]) -> Recipe:
        """Return the recipe of a point.

        Raises:
            UsageError: The values are unlawful together.
        """
        return resolve(self.recipe, self.settings(point))

    def read(self, recipe: Recipe) -> dict[str, Value]:
        """Return the point of a recipe; its values may lie outside of their distributions, as a baseline's may."""
        flat = flatten(recipe)
        return {
            parameter.name: lookup(recipe, parameter.field)
            for parameter in self.every
            if all(_among(flat, name, values) for name, values in parameter.when.items())
        }

    def satisfies(self, point: Mapping[str, Value]) -> bool:
        """Return whether a point satisfies every constraint."""
        if not self.constraints:
            return True
        settings = self.settings(point)
        return all(self.holds(constraint, settings) for constraint in self.constraints)

    def holds(self, constraint: Constraint, settings: Mapping[str, Value]) -> bool:
        """Return whether the recipe with some fields set satisfies a constraint."""
        return constraint.holds(self._effective(settings))

    def scenarios(self) -> Iterator[dict[str, Value]]:
        """Yield each combination of alternatives, as the kind of each section; an empty one if there are none."""
        fields = [f"{section}.kind" for section in self.one_of]
        for ones in product(*self.one_of.values()):
            yield {field: one.kind for field, one in zip(fields, ones, strict=True)}

    def with_kinds(self, kinds: Mapping[str, Value]) -> Recipe:
        """Return the base recipe with these alternatives, and the values that come with them."""
        return resolve(self.recipe, {**self.with_alternatives(kinds), **kinds})

    def active(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        """Return whether a parameter is active, given the values of fields that are chosen already."""
        if not parameter.when:
            return True
        effective = self._effective(values)
        return all(_among(effective, name, allowed) for name, allowed in parameter.when.items())

    def with_alternatives(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values that come with the alternatives whose kinds are among some values."""
        return {
            f"{section}.{name}": value
            for section, ones in self.one_of.items()
            for one in ones
            if values.get(f"{section}.kind") == one.kind
            for name, value in one.settings.items()
        }

    def _effective(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return every value of the recipe that some fields' values lead to."""
        kinds = {name: value for name, value in values.items() if name.removesuffix(".kind") in self.one_of}
        key = tuple(sorted(kinds.items()))
        if key not in self._bases:
            self._bases[key] = flatten(self.with_kinds(kinds))
        effective = {**self._bases[key], **values}
        for name, value in values.items():
            if isinstance(value, tuple):
                effective |= {f"{name}.{index}": item for index, item in enumerate(value)}
        return effective


def _parameters(
    search: Mapping[str, Distribution], one_of: OneOf, when: Mapping[str, Conditions]
) -> Iterator[Parameter]:
    for section, ones in one_of.items():
        kind = f"{section}.kind"
        yield Parameter(kind, kind, Choice([one.kind for one in ones]))
        for one in ones:
            for name, distribution in one.search.items():
                yield Parameter(f"{section}[{one.kind}].{name}", f"{section}.{name}", distribution, {kind: (one.kind,)})
    for name, distribution in search.items():
        yield Parameter(name, name, distribution, when.get(name, {}))


def _in_order(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Return them with those first on which the conditions of others depend; of a circle, in any order."""
    left, done = list(parameters), list[Parameter]()
    while left:
        fields = {parameter.field for parameter in left}
        ready = [one for one in left if not any(overlap(name, other) for name in one.when for other in fields)]
        done += ready or left
        left = [one for one in left if one not in ready] if ready else []
    return tuple(done)


def overlap(one: str, other: str) -> bool:
    """Return whether a field is, or is a part of, another."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _among(values: Mapping[str, Value], name: str, allowed: Sequence[Value]) -> bool:
    return name in values and identity(values[name]) in map(identity, allowed)
