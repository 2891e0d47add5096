"""The red flags of a space: what an experienced person would stop at before it costs machine hours.

A rule about recipes is asked about the baseline and about a spread of the search's points, and speaks when the
baseline breaks it or when most of the points do: a range may well reach beyond what is usual, as long as its bulk
does not lie there. docs/lint.md lists every rule.

Two red flags of the field are impossible here, and have no rule: fp16 without a loss scaler, which
`precision.kind: fp16` brings along; and runs compared by their training loss, as no space may select by `train/*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search_spaces.distributions import Distribution, Value
from search_spaces.errors import UsageError
from search_spaces.lint_flags import (
    RULES,
    SEVERITIES,
    Code,
    Context,
    Finding,
    Flag,
    Severity,
    make_flag,
    read_context,
)
from search_spaces.lint_rules import RECIPE_RULES
from search_spaces.lint_search import SEARCH_RULES, shared_ranges, spelled
from search_spaces.recipe import Recipe
from search_spaces.resolve import resolve
from search_spaces.seeds import derive_seed
from search_spaces.spec import SpaceSpec

__all__ = ["RULES", "Code", "Flag", "Severity", "lint", "lint_arms", "lint_lines"]

_POINTS = 32
_MOST = 0.5

Place = tuple[Code, str]


def lint(spec: SpaceSpec) -> tuple[Flag, ...]:
    """Return the red flags of a space's baseline and of its search: errors first, then warnings, then infos."""
    context = read_context(spec)
    draws = _draws(spec)
    base = _by_place(spec.recipe, context)
    drawn = [_by_place(recipe, context) for recipe in draws]
    flags = [
        flag
        for place in dict.fromkeys(place for found in (base, *drawn) for place in found)
        if (flag := _weighed(place, base, drawn, spec))
    ]
    flags += [make_flag(finding) for rule in SEARCH_RULES for finding in rule(spec.recipe, draws, context)]
    return _ranked(flags)


def lint_arms(
    recipes: Mapping[str, Recipe], ranges: Mapping[str, Mapping[str, Distribution]] | None = None
) -> tuple[Flag, ...]:
    """Return the red flags of a comparison, which are about its arms together.

    One arm may break every rule of a single recipe: that may be what the comparison is about.

    Args:
        recipes: Of each arm.
        ranges: Of each arm's tuned fields, such as `tuning_ranges` returns; without any, the rates are compared.
    """
    return _ranked([make_flag(finding) for finding in shared_ranges(recipes, ranges or {})])


def lint_lines(flags: Sequence[Flag]) -> tuple[str, ...]:
    """Return what a person reads: two lines for each flag."""
    return tuple(
        line
        for flag in flags
        for line in (
            f"{flag.severity.upper()} {flag.code}  {flag.field}: {flag.evidence}",
            f"  fix: {flag.fix} ({flag.source})",
        )
    )


def _ranked(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    codes = list(Code)
    return tuple(sorted(flags, key=lambda flag: (SEVERITIES.index(flag.severity), codes.index(flag.code), flag.field)))


def _draws(spec: SpaceSpec) -> Sequence[Recipe]:
    """Return recipes of the search: a Latin hypercube, so that a field's share of bad values is that of the points."""
    if not spec.search:
        return ()
    orders = {field: sorted(range(_POINTS), key=lambda i: derive_seed("lint", field, i)) for field in spec.search}
    points = (
        {field: values.from_unit((orders[field][i] + 0.5) / _POINTS) for field, values in spec.search.items()}
        for i in range(_POINTS)
    )
    return tuple(recipe for point in points for recipe in _resolved(spec.recipe, point))


def _resolved(recipe: Recipe, point: Mapping[str, Value]) -> Iterator[Recipe]:
    """Yield the recipe of a point, or nothing where two lawful values are unlawful together: that run will say so."""
    try:
        yield resolve(recipe, point)
    except UsageError:
        return


def _by_place(recipe: Recipe, context: Context) -> dict[Place, Finding]:
    return {(finding.code, finding.field): finding for rule in RECIPE_RULES for finding in rule(recipe, context)}


def _weighed(
    place: Place, base: Mapping[Place, Finding], drawn: Sequence[Mapping[Place, Finding]], spec: SpaceSpec
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
    where = (
        f"{spelled(spec.search[field])}, {percent} of it like" if field in spec.search else f"{percent} of the search:"
    )
    return make_flag(hit, f"{where} {hit.found}")
