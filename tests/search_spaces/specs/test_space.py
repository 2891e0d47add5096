from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from search_spaces import (
    SGD,
    Asha,
    Choice,
    Distribution,
    LogUniform,
    Metric,
    Normal,
    NoStopping,
    QUniform,
    RandInt,
    Recipe,
    Resources,
    Sampler,
    SpaceSpec,
    Uniform,
    UsageError,
)
from search_spaces.specs.space_parts import SamplerKind

METRIC = Metric(name="val/accuracy", goal="maximize")


def space(**changes: Any) -> SpaceSpec:
    return SpaceSpec(**{"name": "mine", "task": "digits", "metric": METRIC, "runs": 8, **changes})


def test_defaults() -> None:
    spec = space()
    assert spec.sampler == Sampler(kind="tpe", seed=0, startup=10)
    assert spec.early_stopping == Asha(grace_epochs=1, reduction_factor=3)
    assert spec.resources == Resources(cpu=1, gpu=0)
    assert spec.checkpoint_every_s == 10
    assert spec.search == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "../up"},
        {"task": "my-task"},
        {"task": "package.module"},
        {"runs": 0},
        {"runs": 8.0},
        {"checkpoint_every_s": 0},
        {"search": {"optimizer.lr": {"uniform": [0, 1]}}},
        {"early_stopping": {"kind": "asha", "grace_epochs": 0}},
        {"early_stopping": {"kind": "asha", "reduction_factor": 1}},
        {"early_stopping": {"kind": "none", "grace_epochs": 1}},
        {"resources": {"cpu": 0}},
        {"resources": {"gpu": -1}},
        {"resources": {"processes": 0}},
        {"sampler": {"kind": "cmaes"}},
        {"sampler": {"seed": -1}},
        {"sampler": {"seed": 2**32}},
        {"metric": {"name": "val/accuracy"}},
    ],
)
def test_an_invalid_value_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        space(**changes)


@pytest.mark.parametrize(
    ("written", "processes"),
    [
        ({}, 1),
        ({"gpu": 0.25}, 1),
        ({"gpu": 1}, 1),
        ({"gpu": 4}, 4),
        ({"gpu": 4, "processes": 4}, 4),
        ({"gpu": 4, "processes": 1}, 1),  # a loop that drives four cards itself
        ({"cpu": 2, "processes": 2}, 2),
    ],
)
def test_a_run_has_as_many_processes_as_cards_unless_it_says_otherwise(
    written: dict[str, float], processes: int
) -> None:
    assert Resources.model_validate(written).processes == processes


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"gpu": 1.5}, "gpu must be a fraction of one GPU or a whole number of GPUs, found 1.5"),
        ({"gpu": 2, "processes": 4}, "found gpu 2 and processes 4; remove processes"),
        ({"gpu": 0.5, "processes": 2}, "found gpu 0.5 and processes 2; remove processes"),
        ({"cpu": 1, "processes": 2}, "found cpu 1 and processes 2; increase cpu"),
    ],
)
def test_processes_that_have_no_device_each(written: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Resources.model_validate(written)


@pytest.mark.parametrize("task", ["digits", "images?root=a", "package:Task", "my_package.my_module:MyTask"])
def test_tasks(task: str) -> None:
    assert space(task=task).task == task


def test_an_unknown_task_is_a_problem_of_the_file() -> None:
    with pytest.raises(
        ValidationError, match=r"unknown task 'digit'; did you mean digits\? valid: cartpole, .*module:Name"
    ):
        space(task="digit")


@pytest.mark.parametrize("name", ["val/accuracy", "eval/return", "val/top-5", "val/hits@10", "val/cls/f1"])
def test_metrics(name: str) -> None:
    assert Metric(name=name, goal="minimize").name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("accuracy", "must be split/name, such as val/accuracy, of .* characters, found 'accuracy'"),
        ("val/", "must be split/name"),
        ("/b", "must be split/name"),
        ("val/b ", "must be split/name"),
        ("val/" + "b" * 125, "at most 128 printable characters"),
        ("test/accuracy", "must not select on test/\\*, which is for ablation reports"),
        ("train/loss", "train/\\*, which rewards overfitting"),
    ],
)
def test_metrics_that_select_wrongly(name: str, rule: str) -> None:
    with pytest.raises((ValidationError, UsageError), match=rule):
        SpaceSpec(name="x", task="digits", metric=Metric(name=name, goal="maximize"), runs=2)


@pytest.mark.parametrize(
    ("field", "distribution", "message"),
    [
        ("optimizer.lrr", LogUniform(1e-5, 1), "unknown field of adamw; did you mean lr?"),
        (
            "optimizer.momentum",
            Uniform(0, 0.9),
            "momentum belongs to sgd and rmsprop and lars and muon, but kind is adamw; it has kind, lr",
        ),
        ("optimizer.betas.2", Uniform(0, 0.9), "optimizer.betas has the items 0 to 1"),
        ("optimizer.lr", Uniform(0, 1), "the value 0.0 of uniform must be greater than 0"),
        ("optimizer.lr", Normal(1, 1), "the value -3.0 of normal must be greater than 0"),
        ("optimizer.decay", Choice(["all", "some"]), "the value 'some' of choice must be all, matrices or none"),
        ("optimizer.kind", Choice(["adamw", "sgd"]), "a kind cannot be searched as a field"),
        ("regularization.dropout", Uniform(0, 1), "the value 1.0 of uniform must be less than 1"),
        ("regularization.clip_norm", Choice([None, 0]), "the value 0 of choice must be greater than 0"),
        ("budget.epochs", QUniform(1, 9, 1), "must be a whole number, found 1.0; use randint or choice"),
        ("budget.epochs", RandInt(0, 9), "the value 0 of randint must be at least 1"),
        ("custom.depth", RandInt(0, 9), "the baseline would have no value"),
        ("schedule.warmup_steps", RandInt(0, 9), "must not have both warmup and warmup_steps"),
    ],
)
def test_a_search_with_values_that_the_recipe_rejects(field: str, distribution: Distribution, message: str) -> None:
    recipe = Recipe.model_validate({"schedule": {"kind": "cosine", "warmup": 0.1}})
    with pytest.raises(UsageError) as raised:
        space(recipe=recipe, search={field: distribution})
    assert str(raised.value).startswith(f"search.{field}: ")
    assert message in str(raised.value)


def test_fields_that_exclude_each_other() -> None:
    search = {"schedule.warmup": Uniform(0, 0.3), "schedule.warmup_steps": RandInt(0, 10)}
    with pytest.raises(UsageError, match=r"search\.schedule\.warmup: with the other searched fields"):
        space(search=search)


def test_a_field_is_not_searched_as_a_whole_and_in_part() -> None:
    search = {"optimizer.betas": Choice([[0.9, 0.95]]), "optimizer.betas.1": Uniform(0.9, 0.95)}
    with pytest.raises(UsageError, match=r"optimizer\.betas is searched as a whole, too"):
        space(search=search)


def test_a_search_that_fits() -> None:
    search: dict[str, Distribution] = {
        "optimizer.betas": Choice([[0.9, 0.95], [0.9, 0.999]]),
        "optimizer.lr": LogUniform(1e-5, 1),
        "regularization.clip_norm": Choice([None, 1]),
        "budget.batch_size": RandInt(1, 64),
        "custom.depth": RandInt(1, 3),
    }
    assert space(recipe=Recipe(custom={"depth": 2}), search=search).search == search
    space(recipe=Recipe(optimizer=SGD()), search={"optimizer.momentum": Uniform(0.5, 0.9)})


def test_a_kind_of_ones_own_is_searched_and_asked_for_like_any_field() -> None:
    recipe = Recipe(custom={"kind": "small", "width": 8})
    search: dict[str, Distribution] = {"custom.kind": Choice(["small", "large"]), "custom.width": RandInt(8, 64)}
    asked = {"custom.width": {"custom.kind": ("large",)}}
    found = space(recipe=recipe, search=search, when=asked)
    assert found.search == search
    assert found.parameters.resolved({"custom.kind": "large", "custom.width": 9}).custom["kind"] == "large"
    with pytest.raises(UsageError, match="never holds: the field is never 'huge'"):
        space(recipe=recipe, search=search, when={"custom.width": {"custom.kind": ("huge",)}})


def test_a_grid_tells_how_many_runs_it_has() -> None:
    search = {"optimizer.betas.1": Choice([0.9, 0.99]), "budget.batch_size": Choice([16, 32, 64])}
    grid = Sampler(kind="grid")
    assert space(sampler=grid, search=search, runs=7).runs == 7
    with pytest.raises(UsageError, match=r"runs: must be at most 7 \(the grid and the baseline\), found 8"):
        space(sampler=grid, search=search, runs=8)


def test_a_grid_over_an_interval() -> None:
    with pytest.raises(UsageError, match=r"search\.optimizer\.lr: a grid needs finitely many values"):
        space(sampler=Sampler(kind="grid"), search={"optimizer.lr": LogUniform(1e-5, 1)})


def test_specs_are_frozen_and_pickle() -> None:
    spec = space(early_stopping=NoStopping(), search={"optimizer.lr": LogUniform(1e-5, 1)})
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.runs = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "high", "refused"), [("gp", 10**6 - 1, False), ("gp", 10**6, True), ("tpe", 2**53, False)]
)
def test_a_gaussian_process_needs_a_short_range_of_integers(kind: SamplerKind, high: int, refused: bool) -> None:
    parts = {
        "recipe": Recipe.model_validate({"custom": {"x": 1}}),
        "search": {"custom.x": RandInt(0, high)},
        "sampler": Sampler(kind=kind),
    }
    if not refused:
        space(**parts)
        return
    with pytest.raises(
        UsageError, match=r"^search\.custom\.x: gp needs at most 1,000,000 whole numbers in a range, found"
    ):
        space(**parts)
