"""What does not fit in a search: fields that the recipe lacks, values that it refuses, conditions that never hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from search_spaces.errors import Problem, UsageError, suggest
from search_spaces.recipe.fields import KINDS, flatten, resolve, unknown_field
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Distribution, FiniteDistribution, Value, lies_in
from search_spaces.search.parameters import Alternative, Conditions, OneOf, Parameter, Parameters, overlap
from search_spaces.values import identity, show

_MOST_SCENARIOS = 64


def search_problems(
    recipe: Recipe,
    search: Mapping[str, Distribution],
    one_of: Mapping[str, tuple[Alternative, ...]] = {},
    when: Mapping[str, Conditions] = {},
) -> tuple[Problem, ...]:
    """Return one problem for each searched field that the recipe lacks, or whose values it refuses."""
    twice = _written_twice(search, one_of)
    found = [
        *_alternative_problems(recipe, one_of),
        *(Problem("", f"search.{field}", text) for field, text in twice.items()),
        *(
            Problem("", f"search.{field}", text)
            for field in search
            if field not in twice and (text := _field_problem(recipe, field, search, one_of, conditional=field in when))
        ),
    ]
    if not found:
        parameters = Parameters(recipe, search, one_of, when)
        found = [*_combination_problems(parameters)]
        found = found or [*_condition_problems(parameters)] or [*_scenario_problems(parameters)]
    return tuple(found)


def refusal(recipe: Recipe, values: Mapping[str, Value]) -> Problem | None:
    """Return why a recipe does not take some values, or None if it does."""
    try:
        resolve(recipe, values)
    except UsageError as error:
        problem = error.problems[0]
        return problem if isinstance(problem, Problem) else Problem("", "", problem)
    return None


# --- plain fields -----------------------------------------------------------------------------------------------


def _field_problem(
    recipe: Recipe, field: str, search: Mapping[str, Distribution], one_of: OneOf, conditional: bool
) -> str | None:
    unknown = None if conditional else unknown_field(recipe, field)
    if unknown:
        return f"{unknown}{_way_out(field, one_of)}"
    if field.endswith(".kind") and not field.startswith("custom."):
        return f"a kind is not searched: its fields would change with it; {_instead(field)}"
    if any(field.startswith(f"{other}.") for other in search):
        return f"{field.rpartition('.')[0]} is searched as a whole, too; leave one of them out"
    return None if conditional else _edge_problem(recipe, field, search[field])


def _way_out(field: str, one_of: OneOf) -> str:
    section = field.partition(".")[0]
    return f"; write it into an alternative of search.{section}" if section in one_of else ""


def _instead(field: str) -> str:
    section = field.removesuffix(".kind")
    if section in KINDS:
        return f"write {section}: {{one_of: [{{kind: {next(iter(KINDS[section]))}, ...}}, ...]}}"
    return "write one space per kind"


def _edge_problem(
    recipe: Recipe, field: str, distribution: Distribution, given: Mapping[str, Value] = {}
) -> str | None:
    for value in distribution.edges():
        refused = refusal(recipe, {**given, field: value})
        if refused:
            return f"the value {show(value)} of {distribution.name} {refused.message}{_whole(refused)}"
    return None


def _whole(refused: Problem) -> str:
    return "; use randint or choice" if "whole number" in refused.message else ""


# --- alternatives -----------------------------------------------------------------------------------------------


def _alternative_problems(recipe: Recipe, one_of: OneOf) -> Iterator[Problem]:
    if prod(len(ones) for ones in one_of.values()) > _MOST_SCENARIOS:
        yield Problem("", "search", f"alternatives may combine in at most {_MOST_SCENARIOS} ways, found more")
        return
    for section, ones in one_of.items():
        path = f"search.{section}.one_of"
        if section not in KINDS:
            law = f"one_of is for a section with kinds: {', '.join(KINDS)}; a field takes choice"
            yield Problem("", f"search.{section}", law)
            continue
        if len(ones) < 2:
            yield Problem("", path, f"has at least 2 alternatives, found {len(ones)}; one is written into the recipe")
        kinds = [one.kind for one in ones]
        for index, one in enumerate(ones):
            place = f"{path}.{index}"
            if one.kind not in KINDS[section]:
                message = f"unknown kind {show(one.kind)}; {suggest(one.kind, KINDS[section])}"
                yield Problem("", f"{place}.kind", message)
            elif one.kind in kinds[:index]:
                message = f"{one.kind} is an alternative already; give it wider ranges instead"
                yield Problem("", f"{place}.kind", message)
            else:
                yield from _own_problems(recipe, section, one, place)


def _own_problems(recipe: Recipe, section: str, one: Alternative, place: str) -> Iterator[Problem]:
    """Yield what an alternative's section refuses: its values together, and the ends of each range."""
    kind: dict[str, Value] = {f"{section}.kind": one.kind}
    fields = {f"{section}.{name}": value for name, value in one.settings.items()}
    try:
        base = resolve(recipe, {**kind, **fields})
    except UsageError as error:
        for problem in error.problems:
            if isinstance(problem, Problem):
                yield Problem(
                    "", f"{place}.{problem.field.removeprefix(section).lstrip('.')}".rstrip("."), problem.message
                )
        return
    for name, distribution in one.search.items():
        field = f"{section}.{name}"
        text = unknown_field(base, field)
        if not text and any(field.startswith(f"{section}.{other}.") for other in one.search):
            text = f"{field.rpartition('.')[0]} is searched as a whole, too; leave one of them out"
        text = text or _edge_problem(base, field, distribution)
        if text:
            yield Problem("", f"{place}.{name}", text)


def _written_twice(search: Mapping[str, Distribution], one_of: OneOf) -> dict[str, str]:
    """Return the plain fields that an alternative has, too, and what is said about each."""
    found: dict[str, str] = {}
    for section, ones in one_of.items():
        for field in search:
            names = {one.kind: ("kind", *one.settings, *one.search) for one in ones}
            both = [kind for kind, own in names.items() if any(overlap(field, f"{section}.{name}") for name in own)]
            if both:
                law = f"is written in the alternative {both[0]}, too; leave one of them out"
                found[field] = f"{law}, or remove an extended one by {field}: null"
    return found


# --- conditions -------------------------------------------------------------------------------------------------


def _condition_problems(parameters: Parameters) -> Iterator[Problem]:
    flats = [flatten(parameters.with_kinds(kinds)) for kinds in parameters.scenarios()]
    for at, parameter in enumerate(parameters.every):
        later = {other.field for other in parameters.every[at:]}
        for name, allowed in parameter.when.items() if parameter.name == parameter.field else ():
            path = f"search.{parameter.name}.when.{name}"
            if any(overlap(name, field) for field in later):
                yield Problem("", path, "conditions go round in a circle; a field cannot depend on itself")
            elif text := _never(parameters, flats, name, allowed):
                yield Problem("", path, text)


def _never(
    parameters: Parameters, flats: Sequence[Mapping[str, Value]], name: str, allowed: Sequence[Value]
) -> str | None:
    """Return why a condition on a field never holds, or cannot be asked."""
    searched = [one.distribution for one in parameters.every if overlap(one.field, name)]
    endless = [one for one in searched if not isinstance(one, FiniteDistribution)]
    if endless:
        law = "a condition asks for a field that is fixed, a choice, a step or a one_of"
        return f"{law}; this one is searched over {endless[0].name}"
    known = [flat[name] for flat in flats if name in flat]
    if not known:
        return unknown_field(parameters.recipe, name) or "a condition asks for one value, not for a list"
    exact = [one.distribution for one in parameters.every if one.field == name]
    for value in allowed:
        fixed = identity(value) in map(identity, known)
        if not (fixed or len(exact) < len(searched) or any(lies_in(one, value) for one in exact)):
            options = [option for one in exact for option in one.edges()] or list(dict.fromkeys(known))
            return f"never holds: it is never {show(value)}, but {' or '.join(map(show, options))}"
    return None


# --- together ---------------------------------------------------------------------------------------------------


def _combination_problems(parameters: Parameters) -> Iterator[Problem]:
    """Yield the first alternatives of several sections that do not go together."""
    for kinds in parameters.scenarios():
        refused = refusal(parameters.recipe, parameters.settings(kinds))
        if refused:
            section = next(iter(kinds)).removesuffix(".kind")
            law = f"its alternatives do not go with the others: {refused.message}"
            yield Problem("", f"search.{section}", f"{law}{_told(kinds)}")
            return


def _told(kinds: Mapping[str, Value]) -> str:
    return f" ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})" if kinds else ""


def _scenario_problems(parameters: Parameters) -> Iterator[Problem]:
    """Yield the fields that some alternative lacks or refuses, and those that are lawful only one by one."""
    for kinds in parameters.scenarios():
        texts = {
            parameter.field: text
            for parameter in parameters.every
            if parameter.name == parameter.field and (text := _scenario_problem(parameters, parameter, kinds))
        } or _corner_problem(parameters, kinds)
        if texts:
            yield from (Problem("", f"search.{field}", f"{text}{_told(kinds)}") for field, text in texts.items())
            return


def _scenario_problem(parameters: Parameters, parameter: Parameter, kinds: Mapping[str, Value]) -> str | None:
    base = parameters.with_kinds(kinds)
    given = _given(parameters, parameter, flatten(base))
    if parameter.field in kinds or given is None:
        return None
    return unknown_field(base, parameter.field) or _edge_problem(base, parameter.field, parameter.distribution, given)


def _given(parameters: Parameters, parameter: Parameter, flat: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return values of other fields with which a parameter is active, or None if these alternatives have none."""
    given: dict[str, Value] = {}
    for name, allowed in parameter.when.items():
        chosen = name.removesuffix(".kind") in parameters.one_of
        setters = [one for one in parameters.every if one.field == name and not chosen]
        for setter in setters:
            value = next((value for value in allowed if lies_in(setter.distribution, value)), None)
            inner = _given(parameters, setter, flat)
            if value is not None and inner is not None:
                given |= {**inner, name: value}
        if name not in given and identity(flat.get(name, ())) not in map(identity, allowed):
            return None
    return given


def _corner_problem(parameters: Parameters, kinds: Mapping[str, Value]) -> dict[str, str]:
    """Find fields that are lawful one by one and not together, such as warmup and warmup_steps."""
    for end in (0, -1):
        point = parameters.walk(lambda one, end=end: kinds.get(one.field, one.distribution.edges()[end]))  # type: ignore[misc]
        refused = refusal(parameters.recipe, parameters.settings(point))
        if refused:
            fields = [one.field for one in parameters.every if one.name in point and one.field not in kinds]
            field = next((name for name in fields if name.startswith(refused.field)), fields[0])
            return {_place(parameters, field, kinds): f"with the other searched fields: {refused.message}"}
    return {}


def _place(parameters: Parameters, field: str, kinds: Mapping[str, Value]) -> str:
    """Return where the range of a field is written."""
    section, _, name = field.partition(".")
    for index, one in enumerate(parameters.one_of.get(section, ())):
        if one.kind == kinds[f"{section}.kind"] and name in one.search:
            return f"{section}.one_of.{index}.{name}"
    return field
