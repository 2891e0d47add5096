from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from search_spaces.recipe.fields import resolve
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind
from search_spaces.recipe.optimizers import (
    LAMB,
    LARS,
    SGD,
    Adafactor,
    Adagrad,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    Optimizer,
    ParameterGroups,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    Shampoo,
    Sophia,
)
from search_spaces.recipe.part import Part
from search_spaces.recipe.recipe import Recipe

ROOT = Path(__file__).parents[3]
KINDS: tuple[type[Part], ...] = get_args(get_args(Optimizer)[0])


def test_the_kinds() -> None:
    assert [part.model_fields["kind"].default for part in KINDS] == [
        "adamw",
        "adam",
        "sgd",
        "adam_l2",
        "nadam",
        "radam",
        "rmsprop",
        "adagrad",
        "adafactor",
        "schedule_free_adamw",
        "lion",
        "lars",
        "lamb",
        "sophia",
        "shampoo",
        "muon",
    ]


@pytest.mark.parametrize("part", KINDS)
def test_every_kind_is_built_from_its_name_and_its_learning_rate_is_a_field(part: type[Part]) -> None:
    kind = part.model_fields["kind"].default
    recipe = resolve(Recipe(), {"optimizer.kind": kind, "optimizer.lr": 0.03})
    assert recipe == Recipe(optimizer=part(lr=0.03))


@pytest.mark.parametrize("part", KINDS)
def test_every_field_is_documented(part: type[Part]) -> None:
    text, common = part.__doc__ or "", OptimizerKind.__doc__ or ""
    assert "Source: " in text
    for name in part.model_fields.keys() - {"kind"}:
        assert f"        {name}: " in text or f"        {name}: " in common, name


@pytest.mark.parametrize("part", KINDS)
def test_all_decay_fields_exist_or_have_a_hint(part: type[Part]) -> None:
    fields = {"weight_decay", "decay", "decay_embeddings"}
    assert fields <= part.model_fields.keys() or fields == part.HINTS.keys()


@pytest.mark.parametrize("part", [NAdam, RMSprop, Adagrad, Adafactor, Lion, Sophia, Shampoo])
def test_an_optimizer_is_in_its_class_in_the_union_and_in_its_builder_only(part: type[Part]) -> None:
    packages = ("search_spaces", "trainers", "sweeps", "analysis")
    name = re.compile(rf"\b{part.__name__}\b|\"{part.model_fields['kind'].default}\"")
    sources = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    named = {str(path.relative_to(ROOT)) for path in sources if name.search(path.read_text(encoding="utf-8"))}
    homes = ("search_spaces/recipe/optimizer_kinds/", "search_spaces/recipe/optimizers.py", "trainers/optim/")
    assert {home for home in homes if any(one.startswith(home) for one in named)} == set(homes)
    assert all(one.startswith(homes) for one in named)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        (SGD, {"lr": 0}),
        (Lion, {"betas": (0.9, 1.0)}),
        (LARS, {"decay": "all"}),
        (LARS, {"trust_coefficient": 0.0}),
        (LAMB, {"eps": 0.0}),
        (RMSprop, {"alpha": 1.0}),
        (RMSprop, {"weight_decay": 0.1}),
        (Adagrad, {"weight_decay": 0.1}),
        (Adagrad, {"initial_accumulator": -1.0}),
        (Adafactor, {"beta2_decay": 0.0}),
        (Adafactor, {"clip_threshold": 0.5}),
        (NAdam, {"momentum_decay": -0.1}),
        (RAdam, {"weight_decay": -0.1}),
        (ScheduleFreeAdamW, {"betas": (0.0, 0.9)}),
        (Sophia, {"curvature_every": 0}),
        (Shampoo, {"roots_every": 0}),
        (Muon, {"adjust_lr": "none"}),
        (Muon, {"momentum": 1.0}),
        (Lookahead, {"k": -1}),
        (Lookahead, {"alpha": 0.0}),
        (Lookahead, {"alpha": 1.5}),
        (ParameterGroups, {"layer_decay": 0.0}),
        (ParameterGroups, {"layer_decay": 1.1}),
        (ParameterGroups, {"head_lr_scale": 0.0}),
        (ParameterGroups, {"frozen": ("",)}),
        (ParameterGroups, {"frozen": "body"}),
    ],
)
def test_refused(part: type[Part], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        part(**values)


def test_lists_are_accepted_for_tuples() -> None:
    assert ParameterGroups(frozen=["a", "b"]).frozen == ("a", "b")  # type: ignore[arg-type]  # as YAML gives it


def test_parts_that_are_off_do_not_change_the_hash() -> None:
    bare = recipe_hash(Recipe())
    assert recipe_hash(Recipe(lookahead=Lookahead(), groups=ParameterGroups())) == bare
    assert recipe_hash(Recipe(lookahead=Lookahead(k=5))) != bare
    assert recipe_hash(Recipe(groups=ParameterGroups(frozen=("body",)))) != bare


def test_lookahead_can_be_searched_and_switched_on() -> None:
    recipe = resolve(Recipe(), {"lookahead.k": 5, "lookahead.alpha": 0.8, "groups.layer_decay": 0.9})
    assert recipe == Recipe(lookahead=Lookahead(k=5, alpha=0.8), groups=ParameterGroups(layer_decay=0.9))


PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_page_of_recipes_has_every_kind_and_field() -> None:
    fields = {f"optimizer.{name}" for part in KINDS for name in part.model_fields}
    fields |= {f"lookahead.{name}" for name in Lookahead.model_fields}
    fields |= {f"groups.{name}" for name in ParameterGroups.model_fields}
    written = re.findall(r"^\| `((?:optimizer|lookahead|groups)\.\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(written) == sorted(fields)
    for part in KINDS:
        assert f"\n| `{part.model_fields['kind'].default}` |" in PAGE
