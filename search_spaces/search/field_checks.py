"""Validate a search: unknown fields, values that the recipe rejects, conditions that never hold."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from search_spaces.errors import Problem, UsageError, suggest
from search_spaces.recipe.fields import KINDS, flatten, is_open, resolve, unknown_field
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Distribution, FiniteDistribution, Value, contains
from search_spaces.search.parameters import Alternative, Conditions, OneOf, Parameter, Parameters, overlap
from search_spaces.values import distinct, identity, show

_MAX_SCENARIOS = 64


def validate_search(
    recipe: Recipe,
    search: Mapping[str, Distribution],
    one_of: Mapping[str, tuple[Alternative, ...]] = {},
    when: Mapping[str, Conditions] = {},
) -> tuple[Problem, ...]:
    """Return one problem for each searched field that is unknown to the recipe or has invalid values."""
    twice = _written_twice(search, one_of)
    found = [
        *_validate_alternatives(recipe, one_of),
        *(Problem("", f"search.{field}", text) for field, text in twice.items()),
        *(
            Problem("", f"search.{field}", text)
            for field in search
            if field not in twice
            and (text := _validate_field(recipe, field, search, one_of, conditional=field in when))
        ),
    ]
    if not found:
        parameters = Parameters(recipe, search, one_of, when)
        found = [*_validate_combinations(parameters)]
        found = found or [*_validate_conditions(parameters)] or [*_validate_scenarios(parameters)]
    return tuple(found)


def rejection(recipe: Recipe, values: Mapping[str, Value]) -> Problem | None:
    """Return the problem of a recipe with some values, or None if they are valid."""
    try:
        resolve(recipe, values)
    except UsageError as error:
        problem = error.problems[0]
        return problem if isinstance(problem, Problem) else Problem("", "", problem)
    return None


# --- plain fields -----------------------------------------------------------------------------------------------


def _validate_field(
    recipe: Recipe, field: str, search: Mapping[str, Distribution], one_of: OneOf, conditional: bool
) -> str | None:
    unknown = None if conditional else unknown_field(recipe, field)
    if unknown:
        return f"{unknown}{_alternative_hint(field, one_of)}"
    if field.endswith(".kind") and not is_open(field):
        return f"a kind cannot be searched as a field, since each kind has its own fields; {_kind_hint(field)}"
    if any(field.startswith(f"{other}.") for other in search):
        return f"{field.rpartition('.')[0]} is searched as a whole, too; remove one of them"
    return None if conditional else _validate_edges(recipe, field, search[field])


def _alternative_hint(field: str, one_of: OneOf) -> str:
    section = field.partition(".")[0]
    return f"; move it into an alternative of search.{section}" if section in one_of else ""


def _kind_hint(field: str) -> str:
    section = field.removesuffix(".kind")
    if section in KINDS:
        return f"write {section}: {{one_of: [{{kind: {next(iter(KINDS[section]))}, ...}}, ...]}}"
    return "write one space per kind"


def _validate_edges(
    recipe: Recipe, field: str, distribution: Distribution, given: Mapping[str, Value] = {}
) -> str | None:
    for value in distribution.edges():
        rejected = rejection(recipe, {**given, field: value})
        if rejected:
            return f"the value {show(value)} of {distribution.name} {rejected.message}{_integer_hint(rejected)}"
    return None


def _integer_hint(rejected: Problem) -> str:
    return "; use randint or choice" if "whole number" in rejected.message else ""


# --- alternatives -----------------------------------------------------------------------------------------------


def _validate_alternatives(recipe: Recipe, one_of: OneOf) -> Iterator[Problem]:
    if prod(len(ones) for ones in one_of.values()) > _MAX_SCENARIOS:
        yield Problem("", "search", f"must have at most {_MAX_SCENARIOS} combinations of alternatives, found more")
        return
    for section, ones in one_of.items():
        path = f"search.{section}.one_of"
        if section not in KINDS:
            rule = f"one_of needs a section with kinds: {', '.join(KINDS)}; for a field, use choice"
            yield Problem("", f"search.{section}", rule)
            continue
        if len(ones) < 2:
            yield Problem(
                "", path, f"must have at least 2 alternatives, found {len(ones)}; write a single one into the recipe"
            )
        kinds = [one.kind for one in ones]
        for index, one in enumerate(ones):
            place = f"{path}.{index}"
            if one.kind not in KINDS[section]:
                message = f"unknown kind {show(one.kind)}; {suggest(one.kind, KINDS[section])}"
                yield Problem("", f"{place}.kind", message)
            elif one.kind in kinds[:index]:
                message = f"{one.kind} is already an alternative; widen its ranges instead"
                yield Problem("", f"{place}.kind", message)
            else:
                yield from _validate_alternative(recipe, section, one, place)


def _validate_alternative(recipe: Recipe, section: str, one: Alternative, place: str) -> Iterator[Problem]:
    """Yield the invalid values of an alternative: its settings together, and the bounds of each range."""
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
            text = f"{field.rpartition('.')[0]} is searched as a whole, too; remove one of them"
        text = text or _validate_edges(base, field, distribution)
        if text:
            yield Problem("", f"{place}.{name}", text)


def _written_twice(search: Mapping[str, Distribution], one_of: OneOf) -> dict[str, str]:
    """Return the plain fields that an alternative has, too, and the message for each."""
    found: dict[str, str] = {}
    for section, ones in one_of.items():
        for field in search:
            names = {one.kind: ("kind", *one.settings, *one.search) for one in ones}
            both = [kind for kind, own in names.items() if any(overlap(field, f"{section}.{name}") for name in own)]
            if both:
                rule = f"is also in the alternative {both[0]}; remove one of them"
                found[field] = f"{rule}; for an inherited one, write {field}: null"
    return found


# --- conditions -------------------------------------------------------------------------------------------------


def _validate_conditions(parameters: Parameters) -> Iterator[Problem]:
    flats = [flatten(parameters.with_kinds(kinds)) for kinds in parameters.scenarios()]
    for at, parameter in enumerate(parameters.every):
        later = {other.field for other in parameters.every[at:]}
        for name, allowed in parameter.when.items() if parameter.name == parameter.field else ():
            path = f"search.{parameter.name}.when.{name}"
            if any(overlap(name, field) for field in later):
                yield Problem("", path, "must not depend on itself through conditions")
            elif text := _validate_condition(parameters, flats, name, allowed):
                yield Problem("", path, text)


def _validate_condition(
    parameters: Parameters, flats: Sequence[Mapping[str, Value]], name: str, allowed: Sequence[Value]
) -> str | None:
    """Return the message for a condition that is invalid or never holds, or None."""
    searched = [one.distribution for one in parameters.every if overlap(one.field, name)]
    endless = [one for one in searched if not isinstance(one, FiniteDistribution)]
    if endless:
        rule = "a condition needs a field that is fixed or has finitely many values"
        return f"{rule}, found {endless[0].name}; use choice, quniform, randint or one_of"
    known = [flat[name] for flat in flats if name in flat]
    if not known:
        return unknown_field(parameters.recipe, name) or "a condition needs a field with one value, found a list"
    exact = [one.distribution for one in parameters.every if one.field == name]
    for value in allowed:
        fixed = identity(value) in map(identity, known)
        if not (fixed or len(exact) < len(searched) or any(contains(one, value) for one in exact)):
            options = [option for one in exact for option in one.edges()] or distinct(known)
            return f"never holds: the field is never {show(value)}; valid: {', '.join(map(show, options))}"
    return None


# --- together ---------------------------------------------------------------------------------------------------


def _validate_combinations(parameters: Parameters) -> Iterator[Problem]:
    """Yield the first combination of alternatives of several sections that is invalid."""
    for kinds in parameters.scenarios():
        rejected = rejection(parameters.recipe, parameters.settings(kinds))
        if rejected:
            section = next(iter(kinds)).removesuffix(".kind")
            rule = f"its alternative is invalid with the others: {rejected.message}"
            yield Problem("", f"search.{section}", f"{rule}{_context(kinds)}")
            return


def _context(kinds: Mapping[str, Value]) -> str:
    return f" ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})" if kinds else ""


def _validate_scenarios(parameters: Parameters) -> Iterator[Problem]:
    """Yield the fields that are invalid with some alternative, and those that are valid only one by one."""
    for kinds in parameters.scenarios():
        texts = {
            parameter.field: text
            for parameter in parameters.every
            if parameter.name == parameter.field and (text := _validate_in_scenario(parameters, parameter, kinds))
        } or _validate_corners(parameters, kinds)
        if texts:
            yield from (Problem("", f"search.{field}", f"{text}{_context(kinds)}") for field, text in texts.items())
            return


def _validate_in_scenario(parameters: Parameters, parameter: Parameter, kinds: Mapping[str, Value]) -> str | None:
    base = parameters.with_kinds(kinds)
    given = _given(parameters, parameter, flatten(base))
    if parameter.field in kinds or given is None:
        return None
    return unknown_field(base, parameter.field) or _validate_edges(base, parameter.field, parameter.distribution, given)


def _given(parameters: Parameters, parameter: Parameter, flat: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return values of other fields that make a parameter active, or None if there are none for these alternatives."""
    given: dict[str, Value] = {}
    for name, allowed in parameter.when.items():
        chosen = name.removesuffix(".kind") in parameters.one_of
        setters = [one for one in parameters.every if one.field == name and not chosen]
        for setter in setters:
            value = next((value for value in allowed if contains(setter.distribution, value)), None)
            inner = _given(parameters, setter, flat)
            if value is not None and inner is not None:
                given |= {**inner, name: value}
        if name not in given and identity(flat.get(name, ())) not in map(identity, allowed):
            return None
    return given


def _validate_corners(parameters: Parameters, kinds: Mapping[str, Value]) -> dict[str, str]:
    """Return fields that are valid one by one but not together, such as warmup and warmup_steps."""
    for end in (0, -1):
        point = parameters.walk(lambda one, end=end: kinds.get(one.field, one.distribution.edges()[end]))  # type: ignore[misc]
        rejected = rejection(parameters.recipe, parameters.settings(point))
        if rejected:
            fields = [one.field for one in parameters.every if one.name in point and one.field not in kinds]
            field = next((name for name in fields if name.startswith(rejected.field)), fields[0])
            return {_place(parameters, field, kinds): f"with the other searched fields: {rejected.message}"}
    return {}


def _place(parameters: Parameters, field: str, kinds: Mapping[str, Value]) -> str:
    """Return the path of the range of a field in the file."""
    section, _, name = field.partition(".")
    for index, one in enumerate(parameters.one_of.get(section, ())):
        if one.kind == kinds[f"{section}.kind"] and name in one.search:
            return f"{section}.one_of.{index}.{name}"
    return field
