"""The JSON Schema of a space file, for editors that complete and check YAML while it is written.

Most of it is pydantic's own, from the classes of the recipe. It refuses nothing that the loader takes, and cannot know
every law (that a searched value fits its field, that two fields exclude each other): the loader has the last word.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from search_spaces.recipe.fields import KINDS, flatten, resolve
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import DISTRIBUTION_NAMES
from search_spaces.specs.resources import Resources
from search_spaces.specs.space import Asha, Metric, NoStopping, Sampler, SpaceSpec

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PARTS: tuple[type[BaseModel], ...] = (Recipe, Metric, Sampler, Asha, NoStopping, Resources)
_NUMBER: Schema = {"type": "number"}
_SCALAR: Schema = {"type": ["number", "string", "boolean", "null"]}
_VALUE: Schema = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
_PAIR: Schema = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_ARGUMENTS: dict[str, Schema] = {
    "loguniform": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2},
    "uniform": _PAIR,
    "quniform": {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3},
    "randint": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    "choice": {"type": "array", "items": _VALUE, "minItems": 1},
    "normal": _PAIR,
    "constant": _VALUE,
}


def json_schema() -> Schema:
    """Return the schema of a space file, in draft 2020-12."""
    _, parts = models_json_schema([(part, "validation") for part in _PARTS], ref_template="#/$defs/{model}")
    definitions = {name: _described(part) for name, part in parts["$defs"].items()}
    definitions["Distribution"] = _distribution()
    return {
        "$schema": _DIALECT,
        "title": "A space of `sweeps`",
        "description": "A task, a base recipe, and which recipe fields vary over which distributions.",
        "type": "object",
        "properties": _sections(),
        "additionalProperties": False,
        "required": ["kind"],
        # What a file leaves out may be in the one that it extends.
        "if": {"required": ["extends"]},
        "else": {
            "required": ["task", "metric", "runs"],
            "properties": {"metric": {"required": ["name", "goal"]}},
        },
        "$defs": definitions,
    }


def _sections() -> Schema:
    """Return the schemas of the names at the top of a file."""
    arguments: Schema = {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}}
    task = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": arguments}
    found: Schema = {
        "kind": {"const": "sweep"},
        "extends": {"type": "string", "description": "A shipped space, or a file: what this one changes."},
        "task": {"anyOf": [{"type": "string"}, task]},
        "metric": _reference("Metric"),
        "recipe": _reference("Recipe"),
        "search": _search(),
        "sampler": _reference("Sampler"),
        "constraints": {"type": "array", "items": {"type": "string"}},
        "starts": {"type": "array", "items": {"type": "object", "additionalProperties": _VALUE}},
        "early_stopping": {"anyOf": [_reference("Asha"), _reference("NoStopping")]},
        "runs": {"type": "integer", "minimum": 1, "maximum": 10**6},
        "resources": _reference("Resources"),
        "checkpoint_every_s": {"type": "number", "exclusiveMinimum": 0},
        "time_limit_s": {"type": ["number", "null"], "exclusiveMinimum": 0},
    }
    about = _attributes(SpaceSpec.__doc__ or "")
    return {name: {**({"description": about[name]} if name in about else {}), **one} for name, one in found.items()}


def _search() -> Schema:
    """Return the schema of the `search` section.

    It has a distribution for each dotted field, or null to remove it, and `one_of` for a section that has kinds.
    """
    entry: Schema = {"anyOf": [_reference("Distribution"), {"type": "null"}]}
    # The fields of an alternative are those of its kind, which the loader knows.
    alternative: Schema = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    alternatives: Schema = {
        "type": "object",
        "properties": {"one_of": {"type": "array", "items": alternative, "minItems": 2}},
        "additionalProperties": False,
        "required": ["one_of"],
    }
    return {
        "type": "object",
        "properties": {
            **dict.fromkeys(sorted(set(_fields())), entry),
            **{section: {"anyOf": [alternatives, {"type": "null"}]} for section in sorted(KINDS)},
        },
        "patternProperties": {r"^(custom|switch|averaging|signals|groups|schedule\.milestones)\.": entry},
        "additionalProperties": False,
    }


def _fields() -> Iterator[str]:
    """Yield every dotted field that some recipe has, kinds left out, and the tuples beside their items."""
    recipes = [
        Recipe(),
        *(resolve(Recipe(), {f"{part}.kind": kind}) for part in ("optimizer", "schedule") for kind in KINDS[part]),
    ]
    for field in (field for recipe in recipes for field in flatten(recipe)):
        if field.endswith(".kind") or field == "switch":
            continue
        yield field
        whole, _, index = field.rpartition(".")
        if index.isdigit():
            yield whole


def _distribution() -> Schema:
    return {
        "description": "One distribution: its name, and its arguments.",
        "type": "object",
        "properties": {
            **{name: _ARGUMENTS.get(name, {}) for name in DISTRIBUTION_NAMES},
            "prior": {**_NUMBER, "description": "Around which the first points are drawn."},
            "when": {"type": "object", "description": "Field -> value, or list of values, under which this varies."},
        },
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in DISTRIBUTION_NAMES],
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _described(part: Schema) -> Schema:
    """Return a part's schema with the texts of its docstring at its fields, and as a file may leave it unfinished."""
    about = _attributes(part.get("description", ""))
    properties = {
        name: {**({"description": about[name]} if name in about else {}), **_alternatives(one)}
        for name, one in part.get("properties", {}).items()
    }
    summary = part.get("description", "").partition("\n\n")[0]
    rest = {name: value for name, value in part.items() if name not in ("properties", "description", "required")}
    return {**({"description": summary} if summary else {}), **rest, "properties": properties}


def _alternatives(one: Schema) -> Schema:
    """Return a field's schema with `anyOf`: a section without its kind fits several kinds, and may extend any."""
    rest = {name: value for name, value in one.items() if name not in ("oneOf", "discriminator", "title")}
    return {**rest, "anyOf": one["oneOf"]} if "oneOf" in one else rest


def _attributes(docstring: str) -> dict[str, str]:
    """Return what a docstring in Google's style says of each attribute."""
    _, _, block = docstring.partition("Attributes:\n")
    texts: dict[str, str] = {}
    for match in re.finditer(r"^( +)(\w+): (.*(?:\n\1 +.*)*)", block.partition("\n\n")[0], re.MULTILINE):
        texts[match[2]] = re.sub(r"\s+", " ", match[3])
    return texts
