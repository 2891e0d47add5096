"""Validate the constraints and the starts of a search."""

from collections.abc import Iterator, Mapping, Sequence

from search_spaces.errors import Problem
from search_spaces.recipe.fields import flatten, unknown_field
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import Value, canonical, contains
from search_spaces.search.field_checks import rejection
from search_spaces.search.parameters import Parameter, Parameters
from search_spaces.search.sequences import random_point
from search_spaces.values import show

_PROBES = 1000
_MIN_FEASIBLE = 10  # if 1 % are valid, 1,000 draws contain none once in 20,000 times


def validate_points(
    parameters: Parameters, starts: Sequence[Mapping[str, Value]], drawn: bool = True
) -> tuple[Problem, ...]:
    """Return one problem for each invalid constraint and for each invalid value of a start.

    Args:
        parameters: Parameters of the search.
        starts: Points to begin with.
        drawn: Whether points are drawn. A grid is enumerated, however few points satisfy its constraints.
    """
    found = [*_validate_constraints(parameters)]
    if not found and drawn:
        found += _validate_feasibility(parameters)
    if not found:
        for index, start in enumerate(starts):
            found += _validate_start(parameters, start, f"starts.{index}")
    return tuple(found)


def _validate_constraints(parameters: Parameters) -> Iterator[Problem]:
    base = flatten(parameters.recipe)
    flats = [base, *(flatten(parameters.with_kinds(kinds)) for kinds in parameters.scenarios())]
    for index, constraint in enumerate(parameters.constraints):
        text = _validate_operands(parameters, constraint, flats)
        if not text and not constraint.holds(base):
            values = ", ".join(f"{name} {show(base[name])}" for name in constraint.fields if name in base)
            text = f"the baseline breaks {constraint.text}, found {values}; change the recipe or the constraint"
        if text:
            yield Problem("", f"constraints.{index}", text)


def _validate_operands(
    parameters: Parameters, constraint: Constraint, flats: Sequence[Mapping[str, Value]]
) -> str | None:
    for name in constraint.fields:
        values = [flat[name] for flat in flats if name in flat]
        values += [edge for one in parameters.every if one.field == name for edge in one.distribution.edges()]
        if not values:
            return unknown_field(parameters.recipe, name) or f"{name} is a list; use an item of it, such as {name}.0"
        wrong = [value for value in values if isinstance(value, str | tuple)]
        if wrong:
            return f"a constraint needs numbers, but {name} can be {show(wrong[0])}"
        if all(value is None for value in values):
            unit = parameters.recipe.budget.unit
            way = f"use budget.{unit}s" if name in ("budget.epochs", "budget.steps") else "set or search it"
            return f"{name} is null in every run, so the constraint would never apply; {way}, or remove the constraint"
    return None


def _validate_feasibility(parameters: Parameters) -> list[Problem]:
    """Return a problem if too few random points of a search satisfy its constraints."""
    hits = 0
    for number in range(_PROBES if parameters.constraints else 0):
        drawn = random_point(parameters.distributions, 0, number)
        hits += parameters.satisfies(parameters.walk(lambda one, drawn=drawn: drawn[one.name]))  # type: ignore[misc]
        if hits == _MIN_FEASIBLE:
            return []
    rule = (
        f"at least {_MIN_FEASIBLE} of {_PROBES} random points of the search must satisfy all constraints, found {hits}"
    )
    return [Problem("", "constraints", f"{rule}; narrow the ranges")] if parameters.constraints else []


def _validate_start(parameters: Parameters, start: Mapping[str, Value], path: str) -> Iterator[Problem]:
    known = {parameter.field for parameter in parameters.every}
    if not start:
        yield Problem("", path, "must set at least one field; remove it, since run 0 is the unchanged recipe")
    for field in start:
        if field not in known:
            yield Problem("", f"{path}.{field}", "is not searched; a start sets searched fields only")
    if not start.keys() <= known:
        return
    misplaced = [*_validate_start_values(parameters, start, path)]
    yield from misplaced
    settings = start_settings(parameters, start)
    rejected = None if misplaced else rejection(parameters.recipe, settings)
    if rejected:
        yield Problem("", path, f"is invalid in the recipe: {rejected.message}")
    elif not misplaced:
        broken = [one.text for one in parameters.constraints if not parameters.holds(one, settings)]
        yield from [Problem("", path, f"breaks {text}") for text in broken[:1]]


def _validate_start_values(parameters: Parameters, start: Mapping[str, Value], path: str) -> Iterator[Problem]:
    active = active_with(parameters, start)
    for field, value in start.items():
        if field not in active:
            rule = "is not searched when " + " and ".join(
                f"{name} is {show(start[name])}" for name in start if name != field
            )
            yield Problem("", f"{path}.{field}", rule.removesuffix(" when ") + "; it has no effect in this start")
        elif not contains(active[field].distribution, value):
            [(name, arguments), *_] = canonical(active[field].distribution).items()
            yield Problem(
                "", f"{path}.{field}", f"must be in the search, {name}: {show(arguments)}, found {show(value)}"
            )


def active_with(parameters: Parameters, start: Mapping[str, Value]) -> dict[str, Parameter]:
    """Return the active parameter of each field, given the values of a start and the base recipe's for the rest."""
    values = start_settings(parameters, start)
    return {one.field: one for one in parameters.every if parameters.active(one, values)}


def start_settings(parameters: Parameters, start: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of the fields that a start sets, including the settings of its alternatives."""
    return {**parameters.with_alternatives(start), **start}
