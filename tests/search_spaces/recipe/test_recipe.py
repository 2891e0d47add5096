from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from search_spaces.recipe.averaging import EMA, SWA, NoAverage
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.optimizers import SGD, Adam, AdamW
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals, Switch
from search_spaces.recipe.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclical,
    Exponential,
    InverseSqrt,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
    WarmupStableDecay,
    WeightDecaySchedule,
)


def test_defaults_are_the_documented_ones() -> None:
    recipe = Recipe()
    assert recipe.optimizer == AdamW(
        lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, decay="matrices", decay_embeddings=True
    )
    assert recipe.schedule == Cosine(warmup=0.0, warmup_steps=None, min_factor=0.0)
    assert recipe.regularization == Regularization(dropout=0.0, label_smoothing=0.0, clip_norm=None)
    assert recipe.budget == Budget(epochs=27, batch_size=64, accumulation=1)
    assert recipe.custom == {}
    assert recipe.regularization == Regularization(clip_value=None, drop_path=0.0, mixup=0.0, cutmix=0.0)
    assert recipe.budget == Budget(lr_scaling="none", base_batch_size=256)
    assert recipe.switch is None
    assert recipe.weight_decay_schedule == WeightDecaySchedule(kind="constant", final_factor=0.0)
    assert recipe.averaging == NoAverage()
    assert recipe.patience == Patience(epochs=None, min_delta=0.0, restore_best=True)
    assert recipe.precision == Precision(kind="fp32", compile=False, deterministic=False)
    assert recipe.signals == Signals(train_rescored=False)
    assert SGD() == SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, decay="matrices")


@pytest.mark.parametrize(
    ("part", "values"),
    [
        (AdamW, {"lr": 0}),
        (AdamW, {"lr": -1e-3}),
        (AdamW, {"lr": float("nan")}),
        (AdamW, {"lr": float("inf")}),
        (AdamW, {"lr": "1e-3"}),
        (AdamW, {"lr": True}),
        (AdamW, {"betas": (0.9, 1.0)}),
        (AdamW, {"betas": (-0.1, 0.9)}),
        (AdamW, {"betas": (0.9,)}),
        (AdamW, {"betas": (0.9, 0.99, 0.999)}),
        (AdamW, {"betas": (0.9, True)}),
        (AdamW, {"eps": 0}),
        (AdamW, {"weight_decay": -1}),
        (AdamW, {"decay": "some"}),
        (AdamW, {"decay_embeddings": 1}),
        (AdamW, {"kind": "adam"}),
        (Adam, {"weight_decay": 0.01}),
        (SGD, {"momentum": 1.0}),
        (SGD, {"momentum": 0.0}),
        (Cosine, {"warmup": 1.0}),
        (Cosine, {"min_factor": 1.0}),
        (Cosine, {"warmup_steps": -1}),
        (Cosine, {"warmup_steps": 1.5}),
        (Linear, {"warmup": 0.1, "warmup_steps": 10}),
        (Constant, {"min_factor": 0.1}),
        (Polynomial, {"power": 0.0}),
        (Step, {"milestones": (0.5, 0.4)}),
        (Step, {"milestones": (0.5, 1.0)}),
        (Exponential, {"min_factor": 0.0}),
        (OneCycle, {"warmup": 0.1}),
        (OneCycle, {"div_factor": 0.5}),
        (Cyclical, {"cycles": 0}),
        (CosineRestarts, {"multiplier": 1.5}),
        (InverseSqrt, {"timescale": 0}),
        (WarmupStableDecay, {"decay": 0.0}),
        (Plateau, {"gamma": 1.0}),
        (WeightDecaySchedule, {"final_factor": -0.1}),
        (Regularization, {"clip_norm": 1.0, "clip_value": 1.0}),
        (Regularization, {"drop_path": 1.0}),
        (Regularization, {"mixup": -0.1}),
        (EMA, {"decay": 1.0}),
        (SWA, {"last": 0.0}),
        (Signals, {"pruning": [0.0]}),
        (Signals, {"pruning": [0.5, 1.0]}),
        (Signals, {"pruning": [0.5, 0.8, 0.5]}),
        (Signals, {"pruning": [0.5, 0.50000000001]}),
        (Signals, {"pruning": 0.5}),
        (Signals, {"pruning": ["0.5"]}),
        (Signals, {"fgsm": [0.0]}),
        (Signals, {"fgsm": [float("inf")]}),
        (Signals, {"fgsm": [0.1, 0.1]}),
        (Patience, {"epochs": 0}),
        (Precision, {"kind": "fp8"}),
        (Switch, {"at": 0.5}),
        (Switch, {"at": 1.0, "to": SGD()}),
        (Budget, {"lr_scaling": "cubic"}),
        (Regularization, {"dropout": 1.0}),
        (Regularization, {"label_smoothing": -0.1}),
        (Regularization, {"clip_norm": 0.0}),
        (Budget, {"epochs": 0}),
        (Budget, {"epochs": 9.0}),
        (Budget, {"batch_size": True}),
        (Budget, {"accumulation": 10**10}),
        (Recipe, {"custom": {"a": None}}),
        (Recipe, {"custom": {"a": [1]}}),
        (Recipe, {"custom": {"a": float("nan")}}),
        (Recipe, {"custom": {"a.b": 1}}),
        (Recipe, {"optimiser": AdamW()}),
    ],
)
def test_an_invalid_value_is_refused(part: type[BaseModel], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        part.model_validate(values)


def test_values_at_the_bounds_are_valid() -> None:
    assert SGD(momentum=0.0, nesterov=False).momentum == 0
    assert AdamW(betas=(0.0, 0.0), weight_decay=0.0).betas == (0, 0)
    assert Cosine(warmup=0.0, warmup_steps=0).warmup_steps == 0
    assert Regularization(clip_norm=None).clip_norm is None


def test_an_int_is_accepted_for_a_float() -> None:
    assert type(AdamW(lr=1).lr) is float


def test_custom_values_are_passed_on_unchanged() -> None:
    custom = Recipe(custom={"flag": True, "count": 1, "rate": 1.0, "name": "x"}).custom
    assert [type(custom[name]) for name in ("flag", "count", "rate", "name")] == [bool, int, float, str]


def test_parts_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().optimizer.lr = 1.0  # type: ignore[misc]


def test_json_and_pickle_round_trips() -> None:
    recipe = Recipe(optimizer=SGD(lr=0.5), schedule=Linear(warmup_steps=3), custom={"a": 1})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_sophia_is_refused_in_fp16_in_every_section() -> None:
    fp16 = {"kind": "fp16"}
    for parts in (
        {"optimizer": {"kind": "sophia"}},
        {"switch": {"at": 0.5, "to": {"kind": "sophia"}}},
    ):
        assert Recipe.model_validate({**parts, "precision": {"kind": "bf16"}}).precision.kind == "bf16"
        with pytest.raises(ValidationError, match="use precision bf16"):
            Recipe.model_validate({**parts, "precision": fp16})


def test_mup_is_refused_for_optimizers_that_it_does_not_scale() -> None:
    mup = {"kind": "mlp", "mup_base": 64}
    for kind in ("adamw", "adam", "rmsprop", "lion"):
        assert Recipe.model_validate({"optimizer": {"kind": kind}, "model": mup}).model.mup_base == 64
    for kind in ("sgd", "lars", "lamb", "muon", "sophia", "shampoo", "adafactor"):
        for parts in ({"optimizer": {"kind": kind}}, {"switch": {"at": 0.5, "to": {"kind": kind}}}):
            assert Recipe.model_validate(parts).model.mup_base is None
            with pytest.raises(ValidationError, match=f"scales widths for Adam's family, found optimizer {kind}"):
                Recipe.model_validate({**parts, "model": mup})


def test_newer_fields_do_not_change_the_hash_of_older_recipes() -> None:
    digest = recipe_hash(Recipe())
    newer = {"precision": {"device": "auto"}, "model": {"sync_batch_norm": False}}
    assert recipe_hash(Recipe.model_validate(newer)) == digest
    assert recipe_hash(Recipe.model_validate({"precision": {"device": "cpu"}})) != digest
