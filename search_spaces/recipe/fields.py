"""Read and set the values of a recipe by dotted fields such as `optimizer.betas.1`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from search_spaces.errors import Problem, UsageError, suggest
from search_spaces.recipe.recipe import OPEN_SECTIONS, Recipe
from search_spaces.recipe.validation import invalid_values, kinds_of
from search_spaces.values import Value

KINDS = {name: kinds for name in Recipe.model_fields if len(kinds := kinds_of(Recipe, name)) > 1}
"""Class of each kind, for each section of a recipe that has kinds."""
_KIND_FIELDS = frozenset(f"{section}.kind" for section in KINDS)


def flatten(recipe: Recipe) -> dict[str, Value]:
    """Return every value of a recipe under its dotted field: `optimizer.betas.0`, `custom.depth`."""
    return dict(_flat(recipe, ""))


def _flat(part: BaseModel, prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in sorted(part, key=lambda item: item[0] != "kind"):  # the kind determines the other fields
        path = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, tuple) and value:  # an empty tuple has no items
            yield from ((f"{path}.{index}", item) for index, item in enumerate(value))
        elif isinstance(value, Mapping):
            yield from ((f"{path}.{key}", value[key]) for key in sorted(value))
        else:
            yield path, value


def is_open(field: str) -> bool:
    """Return whether a dotted field is in a section whose names are the user's: `custom.depth`, `args.lr`."""
    return field.partition(".")[0] in OPEN_SECTIONS and "." in field


def lookup(recipe: Recipe, field: str) -> Value:
    """Return the value of one dotted field: `optimizer.lr`, `optimizer.betas` or `optimizer.betas.1`.

    Raises:
        UsageError: The recipe has no such field.
    """
    message = unknown_field(recipe, field)
    if message:
        raise UsageError(Problem("", field, message))
    known = flatten(recipe)
    if field in known:
        return known[field]
    items = [value for name, value in known.items() if name.startswith(f"{field}.")]
    return tuple(item for item in items if not isinstance(item, tuple))


def unknown_field(recipe: Recipe, field: str) -> str | None:
    """Return an error message if a recipe has no such dotted field, else None.

    Args:
        recipe: Recipe whose kinds determine the fields.
        field: Dotted path such as `optimizer.lr`, `optimizer.betas` or `optimizer.betas.1`.
    """
    known = flatten(recipe)
    tuples = {name.rpartition(".")[0] for name in known if name.rpartition(".")[2].isdigit()}
    if field in known or field in tuples:
        return None
    whole, _, index = field.rpartition(".")
    if whole in tuples:
        size = sum(other.startswith(f"{whole}.") for other in known)
        return f"{whole} has the items 0 to {size - 1}, found {index}"
    section, _, name = field.partition(".")
    names = [other.partition(".")[2] for other in known if other.startswith(f"{section}.")]
    if section in KINDS and name:
        return _unknown_to_kind(section, str(known[f"{section}.kind"]), name, names)
    if section in OPEN_SECTIONS and name:
        owner = "recipe.custom" if section == "custom" else section
        return f"{owner} has no such name, so the baseline would have no value; {suggest(name, names)}"
    nearby = [other for other in known if other.startswith(f"{section}.")]
    if nearby:
        return f"unknown field of a recipe; {suggest(field, nearby)}"
    sections = dict.fromkeys(other.partition(".")[0] for other in known)  # all fields would be too many for one line
    near = suggest(field, known).partition("valid: ")[0]
    return f"unknown field of a recipe; {near}valid sections: {', '.join(sections)}; `sweeps schema` prints every field"


def _unknown_to_kind(section: str, kind: str, name: str, names: Sequence[str]) -> str:
    """Return an error message that names the kinds with this field."""
    first = name.partition(".")[0]
    if first in KINDS[section][kind].HINTS:
        return KINDS[section][kind].HINTS[first]
    owners = [other for other, part in KINDS[section].items() if first in part.model_fields]
    if owners and kind not in owners:
        rule = f"{name} belongs to {' and '.join(owners)}, but kind is {kind}"
        return f"{rule}; it has {', '.join(names)}"
    return f"unknown field of {kind}; {suggest(name, names)}"


def resolve(recipe: Recipe, values: Mapping[str, Value]) -> Recipe:
    """Return the recipe with some fields set.

    A new `optimizer.kind` or `schedule.kind` first resets its section to the defaults of the new kind, because the
    learning rate of AdamW, for example, has no meaning for SGD. `budget.steps` replaces `budget.epochs`, and the other
    way round.

    Args:
        recipe: Recipe with all other values.
        values: Value of each dotted field; `optimizer.betas.1` is an item of a tuple. Names in `custom` and `args` may
            be new.

    Raises:
        UsageError: One problem for each field that does not exist or whose value is invalid.
    """
    kinds = {field: value for field, value in values.items() if field in _KIND_FIELDS}
    recipe = _with_kinds(recipe, kinds)
    tree = recipe.model_dump(include=_written(recipe, values))
    problems: list[Problem] = []
    for field in sorted(values.keys() - kinds.keys()):  # a whole tuple comes before its items
        message = None if is_open(field) else unknown_field(recipe, field)
        if message:
            problems.append(Problem("", field, message))
        else:
            _set(tree, field, values[field])
    return _validated(_with_one_unit(tree, values), problems)


def _with_one_unit(tree: dict[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the tree without the length of the budget in the unit that the values replace by another."""
    for field, replaced in (("budget.steps", ("epochs",)), ("budget.epochs", ("steps", "report_every"))):
        if values.get(field) is not None:
            left = {name: None for name in replaced if f"budget.{name}" not in values}
            tree = {**tree, "budget": {**tree["budget"], **left}}
    return tree


def _with_kinds(recipe: Recipe, kinds: Mapping[str, Value]) -> Recipe:
    tree = recipe.model_dump(include=_written(recipe, kinds))
    for field, kind in kinds.items():
        section = field.removesuffix(".kind")
        if tree[section]["kind"] != kind:
            tree[section] = {"kind": kind}
    return _validated(tree)


def _written(recipe: Recipe, values: Mapping[str, Value]) -> set[str]:
    """Return the sections that a recipe or some values set; the others keep their defaults and stay unset."""
    known = {field.partition(".")[0] for field in values} & type(recipe).model_fields.keys()
    return recipe.model_fields_set | known


def _validated(tree: dict[str, Any], problems: Sequence[Problem] = ()) -> Recipe:
    """Return the recipe, or raise its problems together with the given ones."""
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        found = (Problem("", ".".join(path), message) for path, message in invalid_values(error, Recipe))
        raise UsageError(*problems, *found) from None
    if problems:
        raise UsageError(*problems)
    return recipe


def _set(tree: dict[str, Any], field: str, value: Value) -> None:
    section, _, rest = field.partition(".")
    if not rest:
        tree[section] = value
    elif isinstance(tree[section], tuple):
        items = list(tree[section])
        items[int(rest)] = value
        tree[section] = tuple(items)
    elif section in OPEN_SECTIONS:  # validation checks its names
        tree[section][rest] = value
    else:
        _set(tree[section], rest, value)
