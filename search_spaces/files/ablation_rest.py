"""What is left of an ablation without its invalid parts, so that one pass finds the problems of all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces.search.parameters import overlap
from search_spaces.specs.ablation_parts import Retune

# With these, no problem of a part follows from another part that was left out.
_NEUTRAL: Mapping[str, Any] = {
    "question": "?",
    "metrics": {"goal": "minimize"},
    "arms": {"control": {}, "treatment": {}},
    "arrangement": "one_at_a_time",
}


def without(values: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """Leave out the part with a problem, and what cannot be checked without it.

    Args:
        values: Parts of the ablation by name, as `AblationSpec` reads them.
        path: Names from the ablation to the problem.
    """
    match tuple(path):
        case ("arms" | "factors" as section, name, *names) if names and name in values.get(section, {}):
            return {**values, section: {**values[section], name: _without_name(values[section][name], names)}}
        case ("arms" | "factors", *_):  # a name that is invalid: no arm is known
            rest = {
                name: value for name, value in values.items() if name not in ("factors", "arrangement", "contrasts")
            }
            return _without_retune({**rest, "arms": _NEUTRAL["arms"], "nuisance": ()})
        case ("retune", *_) if not isinstance(values.get("retune"), dict):  # or left out already
            return _without_retune(values)
        case ("retune", "ranges", _, field, *_):
            return _without_tuned(values, [field])
        case ("retune", "runs"):
            return {**values, "retune": {**values["retune"], "runs": 2}}
        case ("retune", name, *_) if name not in Retune.model_fields:
            return {**values, "retune": {key: value for key, value in values["retune"].items() if key != name}}
        case ("retune", *_):
            return _without_retune(values)
        case ("design",):
            return {**values, "design": "both" if values.get("retune") else "matched"}
        case (name, *_) if name in _NEUTRAL:
            return {**values, name: _NEUTRAL[name]}
        case (name, *_):
            left_out = {name, "looks"} if name == "pairs" else {name}
            return {key: value for key, value in values.items() if key not in left_out}
    return values


def without_fields(values: Mapping[str, Any], lost: Iterable[str]) -> Mapping[str, Any]:
    """Leave out what depends on fields of the space that could not be read.

    Args:
        values: Parts of the ablation by name.
        lost: Dotted fields of the search, and fields or sections of the recipe.
    """
    gone = set(lost)
    unknown = {name for name in gone if "." not in name}  # sections of the recipe
    nuisance = values.get("nuisance")
    rest = dict(values)
    if isinstance(nuisance, tuple):
        rest["nuisance"] = tuple(field for field in nuisance if not _touches(field, gone))
    for section in {"arms", "factors"} & rest.keys():
        rest[section] = {name: _without_sections(one, unknown) for name, one in rest[section].items()}
    retune = rest.get("retune")
    over = retune.get("over") if isinstance(retune, dict) else None
    tuned = [str(field) for field in over if _touches(field, gone)] if isinstance(over, tuple) else []
    return _without_tuned(rest, tuned) if tuned else rest


def _touches(field: object, lost: Iterable[str]) -> bool:
    return any(overlap(str(field), one) for one in lost)


def _without_sections(one: Mapping[str, Any], unknown: Iterable[str]) -> Mapping[str, Any]:
    """Return an arm or a factor without its settings of some sections."""
    if isinstance(one.get("settings"), dict):
        return {**one, "settings": _without_sections(one["settings"], unknown)}
    return {key: value for key, value in one.items() if not _touches(key, unknown)}


def _without_name(one: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Return an arm or a factor without one of its entries."""
    if names[0] == "settings" and len(names) > 1:
        return {**one, "settings": _without_name(one["settings"], names[1:])}
    section = names[0].partition(".")[0] if names[0].endswith(".kind") else names[0]
    return {key: value for key, value in one.items() if not overlap(key, section)}


def _without_tuned(values: Mapping[str, Any], fields: Sequence[str]) -> Mapping[str, Any]:
    """Return the ablation without some fields of its tuning, or without a tuning if none is left."""
    retune = values["retune"]
    over = retune.get("over")
    left = tuple(field for field in over if field not in fields) if isinstance(over, tuple) else ()
    if not left:
        return _without_retune(values)
    ranges = {
        arm: {field: one for field, one in own.items() if field not in fields} if isinstance(own, dict) else own
        for arm, own in retune.get("ranges", {}).items()
    }
    return {**values, "retune": {**retune, "over": left, "ranges": ranges}}


def _without_retune(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**{name: value for name, value in values.items() if name != "retune"}, "design": "matched"}
