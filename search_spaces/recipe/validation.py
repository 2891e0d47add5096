"""Turn validation errors of pydantic into messages that state the rule, then what was found."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.errors import suggest
from search_spaces.recipe.part import Part
from search_spaces.values import show

MISSING = "is required but missing"

_RULES = {
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be finite",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be a name of letters, digits and underscores",
    "tuple_type": "must be a list",
    "too_long": "must have {max_length} items",
    "model_type": "must be a section of `name: value` lines",
    "model_attributes_type": "must be a section of `name: value` lines",
    "dict_type": "must be a section of `name: value` lines",
    "mapping_type": "must be a section of `name: value` lines",
}


class InvalidValue(NamedTuple):
    """One value that failed validation.

    Attributes:
        path: Names from the model to the value, as in the file.
        message: Rule, and the value that was found.
    """

    path: tuple[str, ...]
    message: str


def invalid_values(error: ValidationError, model: type[BaseModel]) -> tuple[InvalidValue, ...]:
    """Return the invalid values of a validation error.

    Args:
        error: Error from pydantic.
        model: Class that was validated.
    """
    return tuple(_invalid_value(details, model) for details in error.errors(include_url=False))


def _invalid_value(details: ErrorDetails, model: type[BaseModel]) -> InvalidValue:
    path, owner = _follow(model, details["loc"])
    name = path[-1] if path else ""
    match details["type"]:
        case "extra_forbidden":
            message = _unknown(name, owner)
        case "missing":
            message = MISSING
        case "union_tag_not_found":
            message = f"needs a kind: {' or '.join(kinds_of(owner, name))}"
        case "union_tag_invalid":
            path = (*path, "kind")
            found = details["input"].get("kind")
            message = f"unknown kind {show(found)}; {suggest(str(found), kinds_of(owner, name))}"
        case "literal_error":
            expected = details["ctx"]["expected"].replace("'", "")
            message = f"must be {expected}, found {show(details['input'])}"
        case "value_error":
            message = str(details["ctx"]["error"])
        case kind:
            rule = _RULES[kind].format(**details.get("ctx", {})) if kind in _RULES else details["msg"]
            message = f"{rule}, found {show(details['input'])}"
    return InvalidValue(path, message)


def _unknown(name: str, owner: type[BaseModel] | None) -> str:
    if owner is not None and issubclass(owner, Part) and name in owner.HINTS:
        return owner.HINTS[name]
    return f"unknown name; {suggest(name, owner.model_fields if owner else ())}"


def _follow(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[tuple[str, ...], type[BaseModel] | None]:
    """Return the path as in the file, without pydantic's additions, and the class that has its last name as a field."""
    path: list[str] = []
    owner: type[BaseModel] | None = None
    current: type[BaseModel] | None = model
    union: Mapping[str, type[BaseModel]] = {}
    for item in loc:
        if union:  # pydantic adds the kind of a tagged union after its field
            current, union = union.get(str(item)), {}
        elif item != "[key]":
            path.append(str(item))
            owner = current
            parts = kinds_of(owner, str(item))
            current, union = (None, parts) if len(parts) > 1 else (next(iter(parts.values()), None), {})
    return tuple(path), owner


def kinds_of(owner: type[BaseModel] | None, name: str) -> Mapping[str, type[Part]]:
    """Return the classes of a field by kind; the only class of a section without kinds is under its own name."""
    field = owner.model_fields.get(name) if owner else None
    if field is None:
        return {}
    classes = [kind for kind in get_args(field.annotation) or (field.annotation,) if isinstance(kind, type)]
    return {_kind(part): part for part in classes if issubclass(part, Part)}


def _kind(part: type[Part]) -> str:
    return str(part.model_fields["kind"].default) if "kind" in part.model_fields else part.__name__
