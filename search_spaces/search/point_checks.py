"""What does not fit among the points of a search: constraints that the baseline breaks, starts that lie outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search_spaces.errors import Problem
from search_spaces.recipe.fields import flatten, unknown_field
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import Value, canonical, lies_in
from search_spaces.search.field_checks import refusal
from search_spaces.search.parameters import Parameter, Parameters
from search_spaces.search.sequences import random_point
from search_spaces.values import show

_PROBES = 1000
_LEAST = 10  # where 1 % are left, a run finds none among 1,000 draws once in 20,000 times


def point_problems(
    parameters: Parameters, starts: Sequence[Mapping[str, Value]], drawn: bool = True
) -> tuple[Problem, ...]:
    """Return one problem for each constraint that cannot be met, and for each value of a start that does not fit.

    Args:
        parameters: Of the search.
        starts: Points to begin with.
        drawn: Whether points are drawn; a grid is walked, however few points its constraints leave.
    """
    found = [*_constraint_problems(parameters)]
    if not found and drawn:
        found += _infeasible(parameters)
    if not found:
        for index, start in enumerate(starts):
            found += _start_problems(parameters, start, f"starts.{index}")
    return tuple(found)


def _constraint_problems(parameters: Parameters) -> Iterator[Problem]:
    base = flatten(parameters.recipe)
    flats = [base, *(flatten(parameters.with_kinds(kinds)) for kinds in parameters.scenarios())]
    for index, constraint in enumerate(parameters.constraints):
        text = _unusable(parameters, constraint, flats)
        if not text and not constraint.holds(base):
            values = ", ".join(f"{name} {show(base[name])}" for name in constraint.fields if name in base)
            text = f"the baseline breaks {constraint.text}, found {values}; change the recipe or the constraint"
        if text:
            yield Problem("", f"constraints.{index}", text)


def _unusable(parameters: Parameters, constraint: Constraint, flats: Sequence[Mapping[str, Value]]) -> str | None:
    for name in constraint.fields:
        values = [flat[name] for flat in flats if name in flat]
        values += [edge for one in parameters.every if one.field == name for edge in one.distribution.edges()]
        if not values:
            return unknown_field(parameters.recipe, name) or f"{name} is a list; name an item of it, such as {name}.0"
        wrong = [value for value in values if isinstance(value, str | tuple)]
        if wrong:
            return f"a constraint compares numbers, but {name} can be {show(wrong[0])}"
    return None


def _infeasible(parameters: Parameters) -> list[Problem]:
    """Notice before the first run that hardly any point of a search satisfies its constraints."""
    hits = 0
    for number in range(_PROBES if parameters.constraints else 0):
        drawn = random_point(parameters.distributions, 0, number)
        hits += parameters.satisfies(parameters.walk(lambda one, drawn=drawn: drawn[one.name]))  # type: ignore[misc]
        if hits == _LEAST:
            return []
    law = f"at least {_LEAST} of {_PROBES} random points of the search must satisfy all of them, found {hits}"
    return (
        [Problem("", "constraints", f"{law}; narrow the ranges to where they hold")] if parameters.constraints else []
    )


def _start_problems(parameters: Parameters, start: Mapping[str, Value], path: str) -> Iterator[Problem]:
    known = {parameter.field for parameter in parameters.every}
    if not start:
        yield Problem("", path, "names no field; leave it out: run 0 is the recipe as it stands")
    for field in start:
        if field not in known:
            yield Problem("", f"{path}.{field}", "is not searched; a start gives values of searched fields")
    if not start.keys() <= known:
        return
    misplaced = [*_misplaced(parameters, start, path)]
    yield from misplaced
    settings = start_settings(parameters, start)
    refused = None if misplaced else refusal(parameters.recipe, settings)
    if refused:
        yield Problem("", path, f"the recipe refuses it: {refused.message}")
    elif not misplaced:
        broken = [one.text for one in parameters.constraints if not parameters.holds(one, settings)]
        yield from [Problem("", path, f"breaks {text}") for text in broken[:1]]


def _misplaced(parameters: Parameters, start: Mapping[str, Value], path: str) -> Iterator[Problem]:
    active = active_with(parameters, start)
    for field, value in start.items():
        if field not in active:
            law = "is not searched where " + " and ".join(
                f"{name} is {show(start[name])}" for name in start if name != field
            )
            yield Problem("", f"{path}.{field}", law.removesuffix(" where ") + "; it has no effect in this start")
        elif not lies_in(active[field].distribution, value):
            [(name, arguments), *_] = canonical(active[field].distribution).items()
            yield Problem(
                "", f"{path}.{field}", f"must lie in the search, {name}: {show(arguments)}, found {show(value)}"
            )


def active_with(parameters: Parameters, start: Mapping[str, Value]) -> dict[str, Parameter]:
    """Return the active parameter of each field, given the values of a start and the base recipe's for the rest."""
    values = start_settings(parameters, start)
    return {one.field: one for one in parameters.every if parameters.active(one, values)}


def start_settings(parameters: Parameters, start: Mapping[str, Value]) -> dict[str, Value]:
    """Return the fields that a start sets, those that come with an alternative that it names included."""
    return {**parameters.with_alternatives(start), **start}
