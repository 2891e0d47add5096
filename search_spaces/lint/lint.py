"""Find likely mistakes in a space before it costs machine hours. docs/lint.md lists every rule.

A rule about recipes is checked on the baseline and on points spread over the search. It reports a finding if the
baseline violates it, or if most of the points do: a range may contain unusual values as long as they are a minority.

Two common mistakes have no rule because they cannot happen here. `precision.kind: fp16` always scales the loss, and
runs cannot be compared by their training loss because no space may select by `train/*`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import UsageError
from search_spaces.lint.context import Context, read_context
from search_spaces.lint.recipe_rules import RECIPE_RULES
from search_spaces.lint.rules import LINT_SEVERITIES, LintCode, LintFinding
from search_spaces.lint.search_rules import SEARCH_RULES, shared_ranges, spelled
from search_spaces.recipe.fields import flatten, resolve
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Distribution, Value, varies
from search_spaces.search.parameters import Parameter, Parameters
from search_spaces.seeds import derive_seed
from search_spaces.specs.space import SpaceSpec

_POINTS = 32
_MOST = 0.5

Place = tuple[LintCode, str]
"""Rule and dotted field of a finding."""


def lint(spec: SpaceSpec) -> tuple[LintFinding, ...]:
    """Return the findings about a space: errors first, then warnings, then infos.

    Each alternative of a `one_of` is checked separately, so that the others cannot outvote its violations.
    """
    parameters = spec.parameters
    cases = [*_cases(spec, parameters)]
    if not any(case.is_baseline for case in cases):  # no alternative has the kinds of the baseline
        cases.append(_Case(spec.recipe, True, replace(read_context(spec), varied=frozenset()), {}, ()))
    findings = [finding for case in cases for finding in _check(case)]
    findings += _shared(spec, parameters)
    return _ranked(list(dict.fromkeys(findings)))


@dataclass(frozen=True)
class _Case:
    """One combination of alternatives; a space without alternatives has one case.

    Attributes:
        recipe: The baseline, with the kinds of this case.
        is_baseline: Whether these are the kinds of the baseline.
        context: What the rules can use besides the recipe.
        ranges: Distribution of each field that varies in this case.
        draws: Recipes from this part of the search.
    """

    recipe: Recipe
    is_baseline: bool
    context: Context
    ranges: Mapping[str, Distribution]
    draws: Sequence[Recipe]


def _cases(spec: SpaceSpec, parameters: Parameters) -> Iterator[_Case]:
    base = flatten(spec.recipe)
    for kinds in parameters.scenarios():
        here = [one for one in parameters.every if one.field not in kinds and _possible(one, kinds)]
        ranges = {one.field: one.distribution for one in here}
        varied = frozenset(field for field, values in ranges.items() if varies(values))
        is_baseline = all(base[field] == kind for field, kind in kinds.items())
        recipe = spec.recipe if is_baseline else parameters.with_kinds(kinds)
        draws = _draws(parameters, kinds, {one.name: one.distribution for one in here})
        if not draws and not is_baseline:
            draws = (recipe,)
        yield _Case(recipe, is_baseline, replace(read_context(spec), varied=varied), ranges, draws)


def _possible(parameter: Parameter, kinds: Mapping[str, Value]) -> bool:
    return all(field not in kinds or kinds[field] in values for field, values in parameter.when.items())


def _check(case: _Case) -> Iterator[LintFinding]:
    base = _by_place(case.recipe, case.context) if case.is_baseline else {}
    drawn = [_by_place(recipe, case.context) for recipe in case.draws]
    for place in dict.fromkeys(place for found in (base, *drawn) for place in found):
        finding = _summary(place, base, drawn, case.ranges)
        if finding:
            yield finding
    # These rules compare the learning rate with other fields of the optimizer.
    for rule in () if "optimizer" in case.context.unwritten else SEARCH_RULES:
        yield from rule(case.recipe, case.draws, case.context)


def _shared(spec: SpaceSpec, parameters: Parameters) -> Iterator[LintFinding]:
    """Find alternatives of the optimizer that share one range of learning rates."""
    ones = spec.one_of.get("optimizer", ())
    recipes = {one.kind: parameters.with_kinds({"optimizer.kind": one.kind}) for one in ones}
    ranges = {
        one.kind: {**spec.search, **{f"optimizer.{name}": own for name, own in one.search.items()}} for one in ones
    }
    yield from shared_ranges(recipes, ranges)


def lint_arms(
    recipes: Mapping[str, Recipe], ranges: Mapping[str, Mapping[str, Distribution]] | None = None
) -> tuple[LintFinding, ...]:
    """Return the findings about the arms of a comparison taken together.

    The rules about a single recipe are not checked: a violation may be what the ablation examines.

    Args:
        recipes: Recipe of each arm.
        ranges: Tuned fields of each arm, as returned by `tuning_ranges`; without them, learning rates are compared.
    """
    return _ranked([*shared_ranges(recipes, ranges or {})])


def lint_lines(findings: Sequence[LintFinding]) -> tuple[str, ...]:
    """Return the text of the findings, two lines each."""
    return tuple(
        line
        for one in findings
        for line in (
            f"{one.severity.upper()} {one.code}  {one.field}: {one.evidence}",
            f"  fix: {one.fix} ({one.source})",
        )
    )


def _ranked(findings: Sequence[LintFinding]) -> tuple[LintFinding, ...]:
    codes = list(LintCode)
    return tuple(
        sorted(findings, key=lambda one: (LINT_SEVERITIES.index(one.severity), codes.index(one.code), one.field))
    )


def _draws(parameters: Parameters, kinds: Mapping[str, Value], search: Mapping[str, Distribution]) -> Sequence[Recipe]:
    """Return recipes of the search from a Latin hypercube, so that each range is covered evenly."""
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
    """Yield the recipe of a point, or nothing if its values are invalid together: such a run reports that itself."""
    try:
        yield resolve(recipe, point)
    except UsageError:
        return


def _by_place(recipe: Recipe, context: Context) -> dict[Place, LintFinding]:
    return {
        (finding.code, finding.field): finding
        for rule in RECIPE_RULES
        for finding in rule(recipe, context)
        if finding.field.partition(".")[0] not in context.unwritten
    }


def _summary(
    place: Place,
    base: Mapping[Place, LintFinding],
    drawn: Sequence[Mapping[Place, LintFinding]],
    ranges: Mapping[str, Distribution],
) -> LintFinding | None:
    """Return one finding for a place if the baseline or most of the search has one there."""
    hits = [found[place] for found in drawn if place in found]
    share = len(hits) / len(drawn) if drawn else 0.0
    percent = f"{100 * share:.0f} %"
    if place in base:
        if not drawn or share == 1:
            return base[place]
        return replace(base[place], evidence=f"{base[place].evidence}; the baseline and {percent} of the search")
    if share <= _MOST:
        return None
    hit = hits[len(hits) // 2]
    field = place[1]
    where = f"{spelled(ranges[field])}, {percent} of it like" if field in ranges else f"{percent} of the search:"
    return replace(hit, evidence=f"{where} {hit.evidence}")
