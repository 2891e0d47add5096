"""docs/recipes.md documents every field of a recipe with its default."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from search_spaces.recipe.averaging import Averaging
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals, Switch
from search_spaces.recipe.schedules import Schedule, WeightDecaySchedule

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
PARTS: dict[str, list[type[BaseModel]]] = {
    "schedule": list(get_args(get_args(Schedule)[0])),
    "weight_decay_schedule": [WeightDecaySchedule],
    "switch": [Switch],
    "regularization": [Regularization],
    "averaging": list(get_args(get_args(Averaging)[0])),
    "patience": [Patience],
    "precision": [Precision],
    "budget": [Budget],
    "signals": [Signals],
}


def rows() -> dict[str, list[str]]:
    lines = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {line[0].strip(" `"): [cell.strip() for cell in line[1:]] for line in lines if len(line) == 6}


@pytest.mark.parametrize("section", PARTS)
def test_every_field_has_a_row_with_its_meaning(section):
    fields = {f"{section}.{name}" for part in PARTS[section] for name in part.model_fields}
    documented = {name for name in rows() if name.split(".")[0] == section}
    assert documented == fields
    assert all(rows()[name][0] for name in fields)


def test_the_defaults_are_the_fields_own():
    for section, parts in PARTS.items():
        for part in parts:
            for name, field in part.model_fields.items():
                written = rows()[f"{section}.{name}"][2]
                if name in ("kind", "min_factor", "to"):  # differ from class to class
                    continue
                value = field.default
                if isinstance(value, bool) or value is None:
                    assert written.startswith({True: "true", False: "false", None: "null"}[value]), (section, name)
                elif isinstance(value, int | float):
                    assert float(re.match(r"[\d.e-]+", written)[0]) == value, (section, name)
                elif isinstance(value, str):
                    assert written == f"`{value}`", (section, name)
                else:
                    assert written == str(list(value)), (section, name)


def sections() -> list[str]:
    """Return every section of a recipe with the fields of all its kinds."""
    names = []
    for section, field in Recipe.model_fields.items():
        parts = [part for part in _models(field.annotation) if issubclass(part, BaseModel)]
        names += [f"{section}.{name}" for part in parts for name in part.model_fields] or [section]
    return sorted(set(names))


def _models(annotation: object) -> list[type]:
    inner = [model for argument in get_args(annotation) for model in _models(argument)]
    return inner or ([annotation] if isinstance(annotation, type) else [])


@pytest.mark.parametrize("name", sections())
def test_no_field_of_a_recipe_is_missing(name):
    section, _, field = name.partition(".")
    page = PAGE.read_text(encoding="utf-8")
    assert f"`{name}`" in page or f"`{field or section}`" in page, name
