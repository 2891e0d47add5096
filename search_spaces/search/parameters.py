"""The parameters of a search as a flat list: one for each range, with its name in samplers and its conditions.

A field may have several ranges: `optimizer.lr` has one for each alternative of `optimizer: {one_of: [...]}`. They are
the parameters `optimizer[adamw].lr` and `optimizer[sgd].lr`, and `optimizer.kind` determines which one is active.
"""

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
    """One alternative of a section of the recipe.

    Attributes:
        kind: Kind of the section. It is unique among the alternatives, so that a recipe determines its alternative.
        settings: Name in the section -> value. A name that is neither here nor in `search` has the value of the base
            recipe if that has the same kind, and otherwise the default of the kind.
        search: Name in the section -> distribution.
    """

    kind: str
    settings: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    search: Mapping[str, Distribution] = dataclasses.field(default_factory=dict)


Conditions = Mapping[str, tuple[Value, ...]]
"""Field -> values, one of which it must have. All fields must meet their condition."""

OneOf = Mapping[str, tuple[Alternative, ...]]
"""Section -> its alternatives."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One range.

    Attributes:
        name: Name, unique in its search.
        field: Dotted field of the recipe that it sets.
        distribution: Distribution of its values.
        when: Conditions under which it is active; if empty, it always is.
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
        constraints: Constraints that every point must satisfy.
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
        """Whether some parameter is inactive in some points."""
        return any(parameter.when for parameter in self.every)

    def walk(self, choose: Callable[[Parameter], Value]) -> dict[str, Value]:
        """Return the point with a chosen value for each active parameter; conditions come first."""
        point: dict[str, Value] = {}
        values: dict[str, Value] = {}
        for parameter in self.every:
            if self.active(parameter, values):
                point[parameter.name] = values[parameter.field] = choose(parameter)
        return point

    def points(self, values_of: Callable[[Parameter], Iterable[Value]]) -> Iterator[dict[str, Value]]:
        """Yield every combination of the given values of each active parameter; the last one varies fastest."""
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
        """Return the value of each field that a point sets, including those that its alternatives set."""
        values = {parameter.field: point[parameter.name] for parameter in self.every if parameter.name in point}
        return {**self.with_alternatives(values), **values}

    def resolved(self, point: Mapping[str, Value]) -> Recipe:
        """Return the recipe of a point.

        Raises:
            UsageError: The values are invalid together.
        """
        return resolve(self.recipe, self.settings(point))

    def read(self, recipe: Recipe) -> dict[str, Value]:
        """Return the point of a recipe. Its values may be outside of their distributions, as for a baseline."""
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
        """Return whether the base recipe with these settings satisfies a constraint."""
        return constraint.holds(self._effective(settings))

    def scenarios(self) -> Iterator[dict[str, Value]]:
        """Yield the kinds of each combination of alternatives; one empty mapping if there are no alternatives."""
        fields = [f"{section}.kind" for section in self.one_of]
        for ones in product(*self.one_of.values()):
            yield {field: one.kind for field, one in zip(fields, ones, strict=True)}

    def with_kinds(self, kinds: Mapping[str, Value]) -> Recipe:
        """Return the base recipe with these alternatives and their settings."""
        return resolve(self.recipe, {**self.with_alternatives(kinds), **kinds})

    def active(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        """Return whether a parameter is active, given the values of the fields before it."""
        if not parameter.when:
            return True
        effective = self._effective(values)
        return all(_among(effective, name, allowed) for name, allowed in parameter.when.items())

    def with_alternatives(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the settings of the alternatives whose kinds are among some values."""
        return {
            f"{section}.{name}": value
            for section, ones in self.one_of.items()
            for one in ones
            if values.get(f"{section}.kind") == one.kind
            for name, value in one.settings.items()
        }

    def _effective(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return every value of the recipe with some fields set."""
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
    """Sort parameters so that conditions depend on earlier ones only. Those in a cycle keep their order."""
    left, done = list(parameters), list[Parameter]()
    while left:
        fields = {parameter.field for parameter in left}
        ready = [one for one in left if not any(overlap(name, other) for name in one.when for other in fields)]
        done += ready or left
        left = [one for one in left if one not in ready] if ready else []
    return tuple(done)


def overlap(one: str, other: str) -> bool:
    """Return whether two fields are equal, or one is a part of the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _among(values: Mapping[str, Value], name: str, allowed: Sequence[Value]) -> bool:
    return name in values and identity(values[name]) in map(identity, allowed)
