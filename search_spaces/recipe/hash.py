"""The hash of a recipe, which leaves out fields that equal their defaults."""

import hashlib
import json

from pydantic import BaseModel

from search_spaces.recipe.recipe import Recipe

_FIRST = ("optimizer", "schedule")  # their kinds are in every hash; those of sections added later must not be


def recipe_hash(recipe: Recipe) -> str:
    """Return 64 hexadecimal digits that are the same for equal recipes, in every process and release.

    Defaults are left out (a `kind` that is given never is), so that a release that adds a field keeps the old hashes.
    """
    text = json.dumps(_essence(recipe), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _essence(part: BaseModel) -> dict[str, object]:
    """Return the values that differ from their defaults, without sections that would be empty."""
    essence: dict[str, object] = {}
    for name, value in part:
        if isinstance(value, BaseModel):
            inner = _essence(value)
            if inner and (name in _FIRST or value != type(part).model_fields[name].default):
                essence[name] = inner
        elif (name == "kind" and value is not None) or value != type(part).model_fields[name].default:
            essence[name] = value
    return essence
