"""The red flags of a space: settings that an expert would question before the sweep costs machine hours.

A rule about recipes is asked about the baseline and about a spread of the search's points, and speaks when the
baseline breaks it or when most of the points do: a range may well reach beyond what is usual, as long as its bulk
does not lie there. docs/lint.md lists every rule.

Two red flags of the field are impossible here, and have no rule: fp16 without a loss scaler, which
`precision.kind: fp16` brings along; and runs compared by their training loss, as no space may select by `train/*`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import UsageError
from search_spaces.lint.context import Context, read_context
from search_spaces.lint.recipe_rules import RECIPE_RULES
from search_spaces.lint.rules import RULES, SEVERITIES, Flag, LintCode, LintFinding, LintSeverity, make_flag
from search_spaces.lint.search_rules import SEARCH_RULES, shared_ranges, spelled
from search_spaces.recipe.fields import flatten, resolve
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Distribution, Value
from search_spaces.search.parameters import Parameter, Parameters
from search_spaces.seeds import derive_seed
from search_spaces.specs.space import SpaceSpec

__all__ = ["RULES", "Flag", "LintCode", "LintSeverity", "lint", "lint_arms", "lint_lines"]

_POINTS = 32
_MOST = 0.5

Place = tuple[LintCode, str]


def lint(spec: SpaceSpec) -> tuple[Flag, ...]:
    """Return the red flags of a space's baseline and of its search: errors first, then warnings, then infos.

    Each alternative of a `one_of` is judged by itself: what most points of one of them break is not made right by
    the others.
    """
    parameters = spec.parameters
    cases = [*_cases(spec, parameters)]
    if not any(case.own for case in cases):  # no alternative is the baseline's
        cases.append(_Case(spec.recipe, True, replace(read_context(spec), varied=frozenset()), {}, ()))
    flags = [flag for case in cases for flag in _flags(case)]
    flags += [make_flag(finding) for finding in _shared(spec, parameters)]
    return _ranked(list(dict.fromkeys(flags)))


@dataclass(frozen=True)
class _Case:
    """One combination of alternatives; a space without any has one case.

    Attributes:
        recipe: The baseline, or these alternatives in it.
        own: Whether it is the baseline.
        context: What the rules may know.
        ranges: Distribution of each field that varies here.
        draws: Recipes of this part of the search.
    """

    recipe: Recipe
    own: bool
    context: Context
    ranges: Mapping[str, Distribution]
    draws: Sequence[Recipe]


def _cases(spec: SpaceSpec, parameters: Parameters) -> Iterator[_Case]:
    base = flatten(spec.recipe)
    for kinds in parameters.scenarios():
        here = [one for one in parameters.every if one.field not in kinds and _possible(one, kinds)]
        ranges = {one.field: one.distribution for one in here}
        varied = frozenset(field for field, values in ranges.items() if len(set(values.edges())) > 1)
        own = all(base[field] == kind for field, kind in kinds.items())
        recipe = spec.recipe if own else parameters.with_kinds(kinds)
        draws = _draws(parameters, kinds, {one.name: one.distribution for one in here})
        if not draws and not own:
            draws = (recipe,)
        yield _Case(recipe, own, replace(read_context(spec), varied=varied), ranges, draws)


def _possible(parameter: Parameter, kinds: Mapping[str, Value]) -> bool:
    return all(field not in kinds or kinds[field] in values for field, values in parameter.when.items())


def _flags(case: _Case) -> Iterator[Flag]:
    base = _by_place(case.recipe, case.context) if case.own else {}
    drawn = [_by_place(recipe, case.context) for recipe in case.draws]
    for place in dict.fromkeys(place for found in (base, *drawn) for place in found):
        flag = _weighed(place, base, drawn, case.ranges)
        if flag:
            yield flag
    for rule in SEARCH_RULES:
        yield from (make_flag(finding) for finding in rule(case.recipe, case.draws, case.context))


def _shared(spec: SpaceSpec, parameters: Parameters) -> Iterator[LintFinding]:
    """Find alternatives of the optimizer that have one range of learning rates between them."""
    ones = spec.one_of.get("optimizer", ())
    recipes = {one.kind: parameters.with_kinds({"optimizer.kind": one.kind}) for one in ones}
    ranges = {
        one.kind: {**spec.search, **{f"optimizer.{name}": own for name, own in one.search.items()}} for one in ones
    }
    yield from shared_ranges(recipes, ranges)


def lint_arms(
    recipes: Mapping[str, Recipe], ranges: Mapping[str, Mapping[str, Distribution]] | None = None
) -> tuple[Flag, ...]:
    """Return the red flags of a comparison, which are about its arms together.

    One arm may break every rule of a single recipe: that may be what the comparison is about.

    Args:
        recipes: Recipe of each arm.
        ranges: Ranges of each arm's tuned fields, from `tuning_ranges`; without any, the rates are compared.
    """
    return _ranked([make_flag(finding) for finding in shared_ranges(recipes, ranges or {})])


def lint_lines(flags: Sequence[Flag]) -> tuple[str, ...]:
    """Return two lines of text for each flag."""
    return tuple(
        line
        for flag in flags
        for line in (
            f"{flag.severity.upper()} {flag.code}  {flag.field}: {flag.evidence}",
            f"  fix: {flag.fix} ({flag.source})",
        )
    )


def _ranked(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    codes = list(LintCode)
    return tuple(sorted(flags, key=lambda flag: (SEVERITIES.index(flag.severity), codes.index(flag.code), flag.field)))


def _draws(parameters: Parameters, kinds: Mapping[str, Value], search: Mapping[str, Distribution]) -> Sequence[Recipe]:
    """Return recipes of the search: a Latin hypercube, so that a field's share of bad values is that of the points."""
    if not search:
        return ()
    orders = {name: sorted(range(_POINTS), key=lambda i: derive_seed("lint", name, i)) for name in search}
    drawn = (
        {name: values.from_unit((orders[name][i] + 0.5) / _POINTS) for name, values in search.items()}
        for i in range(_POINTS)
    )
    points = (parameters.walk(lambda one, values={**values, **kinds}: values[one.name]) for values in drawn)  # type: ignore[misc]
    return tuple(
        recipe
        for point in points
        if parameters.satisfies(point)
        for recipe in _resolved(parameters.recipe, parameters.settings(point))
    )


def _resolved(recipe: Recipe, point: Mapping[str, Value]) -> Iterator[Recipe]:
    """Yield the recipe of a point, or nothing if two valid values are invalid together: that run reports it."""
    try:
        yield resolve(recipe, point)
    except UsageError:
        return


def _by_place(recipe: Recipe, context: Context) -> dict[Place, LintFinding]:
    return {(finding.code, finding.field): finding for rule in RECIPE_RULES for finding in rule(recipe, context)}


def _weighed(
    place: Place,
    base: Mapping[Place, LintFinding],
    drawn: Sequence[Mapping[Place, LintFinding]],
    ranges: Mapping[str, Distribution],
) -> Flag | None:
    """Return the flag of what was found at one place, if the baseline or most of the search has it."""
    hits = [found[place] for found in drawn if place in found]
    share = len(hits) / len(drawn) if drawn else 0.0
    percent = f"{100 * share:.0f} %"
    if place in base:
        partial = bool(drawn) and share < 1
        evidence = f"{base[place].found}; the baseline and {percent} of the search" if partial else None
        return make_flag(base[place], evidence)
    if share <= _MOST:
        return None
    hit = hits[len(hits) // 2]
    field = place[1]
    where = f"{spelled(ranges[field])}, {percent} of it like" if field in ranges else f"{percent} of the search:"
    return make_flag(hit, f"{where} {hit.found}")
