from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    SGD,
    AdamW,
    Budget,
    Recipe,
    Regularization,
    UsageError,
    Value,
    flatten,
    lookup,
    recipe_hash,
    resolve,
)
from search_spaces.recipe.averaging import EMA, SWA, Best
from search_spaces.recipe.fields import unknown_field
from search_spaces.recipe.optimizers import Adam
from search_spaces.recipe.recipe import Precision, Signals, Switch
from search_spaces.recipe.schedules import Cosine, Linear, Step, WeightDecaySchedule

DEFAULT_HASH = "fe28e28fe47f2d87e090936459d8acbd9161381932e9aad3a55f2837df8f38ce"
OTHER = Recipe(optimizer=SGD(lr=0.5, momentum=0.8), schedule=Linear(warmup=0.25), custom={"b": 1, "a": "x"})


def test_sets_nested_fields_items_of_tuples_and_custom_values() -> None:
    values: dict[str, Value] = {
        "optimizer.lr": 1,
        "optimizer.betas.1": 0.98,
        "regularization.clip_norm": None,
        "budget.epochs": 9,
        "custom.depth": 3,
    }
    recipe = resolve(Recipe(), values)
    assert recipe == Recipe(optimizer=AdamW(lr=1.0, betas=(0.9, 0.98)), budget=Budget(epochs=9), custom={"depth": 3})


def test_a_whole_tuple_comes_before_its_items() -> None:
    values: dict[str, Value] = {"optimizer.betas.1": 0.5, "optimizer.betas": (0.1, 0.2)}
    assert lookup(resolve(Recipe(), values), "optimizer.betas") == (0.1, 0.5)


def test_the_base_is_not_modified_and_no_values_change_nothing() -> None:
    base = Recipe(custom={"a": 1})
    resolve(base, {"custom.a": 2, "optimizer.lr": 0.5})
    assert base == Recipe(custom={"a": 1})
    assert resolve(base, {}) == base


def test_another_kind_starts_from_its_own_defaults() -> None:
    recipe = resolve(Recipe(optimizer=AdamW(lr=3e-4)), {"optimizer.momentum": 0.8, "optimizer.kind": "sgd"})
    assert recipe.optimizer == SGD(momentum=0.8)


def test_the_same_kind_keeps_the_section() -> None:
    recipe = Recipe(schedule=Cosine(warmup=0.1))
    assert resolve(recipe, {"schedule.kind": "cosine"}) == recipe


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optimizer.lr", -1, "must be greater than 0, found -1"),
        ("optimizer.lr", "a", "must be a number, found 'a'"),
        ("optimizer.lr", True, "must be a number, found true"),
        ("optimizer.lr", None, "must be a number, found null"),
        ("optimizer.betas.1", 1, "must be less than 1, found 1"),
        ("optimizer.betas.2", 0.5, "optimizer.betas has the items 0 to 1, found 2"),
        ("optimizer.betas.x", 0.5, "optimizer.betas has the items 0 to 1, found x"),
        ("optimizer.betas", (0.5,), "is required but missing"),
        ("optimizer.lrr", 1, "did you mean lr?"),
        ("optimizer.lr.x", 1, "unknown field of adamw"),
        (
            "optimizer.momentum",
            0.9,
            "momentum belongs to sgd and rmsprop and lars and muon, but kind is adamw",
        ),
        ("optimizer.kind", "sdg", "did you mean sgd?"),
        ("optimizer.kind", 3, "unknown kind 3"),
        ("optimizer", 3, "unknown field of a recipe"),
        ("schedule.min_facto", 0.5, "did you mean min_factor?"),
        ("budget.epochs", 9.0, "must be a whole number, found 9.0"),
        ("budget.epochs", 10**30, "must be at most 1e+09"),
        ("budgett.epochs", 9, "did you mean budget.epochs?"),
        ("custom.a.b", 9, "must be a name of letters, digits and underscores, found 'a.b'"),
        ("custom.a", None, "must be true, false, a number or a text, found null"),
        ("custom", 9, "unknown field of a recipe"),
        ("", 9, "unknown field of a recipe"),
        (".", 9, "unknown field of a recipe"),
    ],
)
def test_a_problem_names_its_field(field: str, value: Value, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve(Recipe(), {field: value})
    assert len(raised.value.problems) == 1
    assert str(raised.value).startswith(field)
    assert message in str(raised.value)


def test_adam_refers_to_adamw_for_weight_decay() -> None:
    with pytest.raises(UsageError, match="use kind: adamw"):
        resolve(Recipe(optimizer=Adam()), {"optimizer.weight_decay": 0.1})


def test_every_problem_is_reported() -> None:
    with pytest.raises(UsageError) as raised:
        resolve(Recipe(), {"optimizer.lr": -1, "optimizer.lrr": 1, "budget.epochs": 0, "custom.a": None})
    assert len(raised.value.problems) == 4


def test_flatten_gives_what_lookup_finds_and_resolve_takes() -> None:
    flat = flatten(OTHER)
    assert flat["optimizer.kind"] == "sgd"
    assert list(flat)[-2:] == ["custom.a", "custom.b"]
    assert flatten(Recipe())["optimizer.betas.1"] == 0.999
    assert {field: lookup(OTHER, field) for field in flat} == flat
    assert resolve(Recipe(), flat) == OTHER


@pytest.mark.parametrize(
    ("field", "near"), [("foo.bar", ""), ("optimiser.lr", "did you mean optimizer.lr? "), ("batch_size", None)]
)
def test_an_unknown_section_lists_the_sections_alone(field: str, near: str | None) -> None:
    message = unknown_field(Recipe(), field)
    assert message is not None
    assert len(message) < 300
    listed = message.partition("valid sections: ")[2].partition(";")[0].split(", ")
    assert {"optimizer", "schedule", "budget"} <= set(listed) <= set(Recipe.model_fields)
    assert near is None or message.startswith(f"unknown field of a recipe; {near}valid sections")


def test_lookup_of_an_unknown_field() -> None:
    with pytest.raises(UsageError, match=r"optimizer\.lrr: unknown field of adamw; did you mean lr\?"):
        lookup(Recipe(), "optimizer.lrr")


def test_hashes_are_pinned() -> None:
    # If these change, recorded runs are no longer found. If a default has changed, restore it.
    assert recipe_hash(Recipe()) == DEFAULT_HASH
    assert recipe_hash(OTHER) == "9a042e6493d91951b29b34b2e0dd9945caf2c4fbb357614bea14059599f8f5ec"


def test_sections_of_later_releases_are_left_out_at_their_defaults_and_only_there() -> None:
    changed = [
        Recipe(averaging=EMA()),
        Recipe(averaging=SWA()),
        Recipe(averaging=Best()),
        Recipe(signals=Signals(pruning=(0.5,))),
        Recipe(signals=Signals(fgsm=(0.5,))),
        Recipe(precision=Precision(kind="bf16")),
        Recipe(precision=Precision(deterministic=True)),
        Recipe(switch=Switch(to=SGD())),
        Recipe(switch=Switch(to=AdamW())),
        Recipe(weight_decay_schedule=WeightDecaySchedule(kind="linear")),
        Recipe(weight_decay_schedule=WeightDecaySchedule(final_factor=0.5)),
    ]
    assert len({DEFAULT_HASH, *map(recipe_hash, changed)}) == 1 + len(changed)


def test_fields_of_sections_within_sections_and_empty_tuples_are_set() -> None:
    base = Recipe(switch=Switch(to=SGD(lr=0.1)), schedule=Step(milestones=(0.5, 0.7)))
    values: dict[str, Value] = {"switch.to.lr": 0.3, "switch.at": 0.2, "schedule.milestones.1": 0.9}
    recipe = resolve(base, values)
    assert recipe.switch == Switch(at=0.2, to=SGD(lr=0.3))
    assert recipe.schedule == Step(milestones=(0.5, 0.9))
    assert resolve(Recipe(), {"averaging.last": 0.5, "averaging.kind": "swa"}).averaging == SWA(last=0.5)
    assert flatten(Recipe(schedule=Step(milestones=())))["schedule.milestones"] == ()


def test_a_hash_is_the_same_in_other_processes() -> None:
    code = "from search_spaces import *; print(recipe_hash(Recipe()))"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == DEFAULT_HASH


def test_a_hash_depends_on_values_and_not_on_their_notation() -> None:
    assert recipe_hash(Recipe(optimizer=SGD(lr=1))) == recipe_hash(Recipe(optimizer=SGD(lr=1.0)))
    assert recipe_hash(Recipe(custom={"a": 1, "b": 2})) == recipe_hash(Recipe(custom={"b": 2, "a": 1}))
    assert recipe_hash(Recipe(regularization=Regularization(clip_norm=None))) == DEFAULT_HASH


def test_a_hash_differs_between_kinds_and_types() -> None:
    recipes = [
        Recipe(),
        Recipe(optimizer=Adam()),
        Recipe(optimizer=SGD()),
        Recipe(schedule=Linear()),
        Recipe(custom={"a": 1}),
        Recipe(custom={"a": 1.0}),
        Recipe(custom={"a": True}),
        Recipe(custom={"a": "1"}),
    ]
    assert len({recipe_hash(recipe) for recipe in recipes}) == len(recipes)


@given(lr=st.floats(1e-12, 1e3), beta=st.floats(0, 0.999), epochs=st.integers(1, 1000))
def test_equal_hashes_mean_equal_recipes(lr: float, beta: float, epochs: int) -> None:
    values: dict[str, Value] = {"optimizer.lr": lr, "optimizer.betas.1": beta, "budget.epochs": epochs}
    recipe = resolve(Recipe(), values)
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert recipe_hash(again) == recipe_hash(recipe)
    assert (recipe_hash(recipe) == DEFAULT_HASH) == (recipe == Recipe())


def test_sections_that_nothing_sets_stay_unset() -> None:
    recipe = resolve(Recipe.model_validate({"budget": {"epochs": 3}}), {"custom.x": 1, "schedule.warmup": 0.1})
    assert recipe.model_fields_set == {"budget", "custom", "schedule"}
    assert resolve(Recipe(), {"optimizer.kind": "sgd"}).model_fields_set == {"optimizer"}
