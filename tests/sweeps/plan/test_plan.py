from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from search_spaces import (
    Choice,
    LogUniform,
    Metric,
    Normal,
    QUniform,
    RandInt,
    Recipe,
    Sampler,
    SpaceSpec,
    Uniform,
    grid_points,
    random_point,
    recipe_hash,
    resolve,
    sobol_point,
)
from search_spaces.search.distributions import contains
from search_spaces.search.parameters import Alternative
from search_spaces.specs.space_parts import SAMPLERS
from sweeps.plan.search_plan import SearchPlan, searched_fields, searched_values
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import analytic, snapshot_of, space

SEARCH = {
    "optimizer.lr": LogUniform(1e-5, 1e-1),
    "optimizer.betas": Choice([(0.9, 0.999), (0.9, 0.95)]),
    "schedule.warmup": Uniform(0.0, 0.3),
    "regularization.dropout": QUniform(0.0, 0.6, 0.1),
    "regularization.clip_norm": Choice([None, 1.0]),
    "budget.batch_size": RandInt(16, 64),
    "optimizer.weight_decay": Normal(0.5, 0.1),
}
GRID = {"optimizer.betas.1": Choice([0.95, 0.98, 0.999]), "budget.accumulation": RandInt(1, 3)}


def spec_of(kind: Any, **changes: Any) -> SpaceSpec:
    startup = 7 if kind == "gp" else 3  # a Gaussian process takes a second per proposal
    parts: dict[str, Any] = {"sampler": Sampler(kind=kind, seed=4, startup=startup), "runs": 9, "search": SEARCH}
    return space(**(parts | changes | ({"search": GRID} if kind == "grid" else {})))


def view(spec: SpaceSpec, number: int, recipe: Recipe, **changes: Any) -> RunSnapshot:
    value = analytic(recipe, 9)["val/accuracy"]
    parts: dict[str, Any] = {
        "recipe": recipe,
        "values": searched_values(recipe, spec),
        "value": value,
        "curve": {9: value},
    }
    return snapshot_of(number, **(parts | changes))


def run(spec: SpaceSpec, plan: SearchPlan, first: int, count: int) -> list[Recipe]:
    """The next recipes, each trained before the next one is asked for, as a conductor does."""
    recipes = []
    for number in range(first, first + count):
        recipe = plan.propose(number).recipe
        plan.learn(view(spec, number, recipe, state=RunState.RUNNING, value=None, curve={}))
        plan.learn(view(spec, number, recipe))
        recipes.append(recipe)
    return recipes


KINDS = list(SAMPLERS)


@pytest.mark.parametrize("kind", KINDS)
def test_run_0_is_the_base_recipe(kind: Any) -> None:
    spec = spec_of(kind)
    planned = SearchPlan(spec).propose(0)
    assert planned.recipe == spec.recipe
    assert SearchPlan(spec).values(planned) == searched_values(spec.recipe, spec)
    assert SearchPlan(spec).total == 9


@pytest.mark.parametrize("kind", KINDS)
def test_proposals_lie_in_their_ranges(kind: Any) -> None:
    spec = spec_of(kind)
    recipes = run(spec, SearchPlan(spec), 0, 9)
    for recipe in recipes[1:]:
        for path, value in searched_values(recipe, spec).items():
            assert contains(spec.search[path], value), (path, value)
    assert len({recipe_hash(recipe) for recipe in recipes}) == 9 if kind != "grid" else 8


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_the_numbers_that_a_person_wrote(kind: Any) -> None:
    spec = spec_of(kind, search={"regularization.dropout": QUniform(0.0, 0.6, 0.1)})
    if kind == "grid":
        spec = space(sampler=Sampler(kind="grid"), search={"regularization.dropout": QUniform(0.0, 0.6, 0.1)}, runs=8)
    dropouts = {recipe.regularization.dropout for recipe in run(spec, SearchPlan(spec), 0, spec.runs)}
    assert len(dropouts) > 2
    assert dropouts <= {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6}


@pytest.mark.parametrize(
    ("kind", "crash"), [("gp", 8), *itertools.product(["tpe", "random", "qmc", "grid"], [1, 5, 8])]
)
def test_a_restart_with_the_same_history_continues_alike(kind: Any, crash: int) -> None:
    spec = spec_of(kind)
    whole = run(spec, SearchPlan(spec), 0, 9)
    resumed = SearchPlan(spec)
    for number, recipe in enumerate(whole[:crash]):
        resumed.learn(view(spec, number, recipe))
    assert run(spec, resumed, crash, 9 - crash) == whole[crash:]


def test_a_restart_reads_runs_in_every_state() -> None:
    spec = spec_of("tpe", runs=12)
    recipes = run(spec, SearchPlan(spec), 0, 8)
    changes: list[dict[str, Any]] = [
        {},
        {"state": RunState.STOPPED, "curve": {1: 0.1}, "value": 0.1},
        {"state": RunState.DIVERGED, "curve": {1: 0.1, 2: float("nan")}, "value": 0.1},
        {"state": RunState.FAILED, "curve": {}, "value": None, "error": "Traceback"},
        {"state": RunState.INTERRUPTED, "curve": {1: 0.2}, "value": 0.2},
        {"state": RunState.RUNNING, "curve": {}, "value": None},
        {},
        {},
    ]
    proposals = []
    for _ in range(2):
        plan = SearchPlan(spec)
        for number, (recipe, change) in enumerate(zip(recipes, changes, strict=True)):
            plan.learn(view(spec, number, recipe, **change))
        planned = plan.propose(8)
        assert planned.number == 8
        proposals.append(planned.recipe)
    assert proposals[0] == proposals[1]
    assert proposals[0] not in recipes


def test_the_sequences_begin_after_the_baseline() -> None:
    for kind, point in (("random", random_point), ("qmc", sobol_point)):
        spec = spec_of(kind)
        plan = SearchPlan(spec)
        assert plan.propose(1).recipe == resolve(spec.recipe, point(spec.search, 4, 0))
        assert plan.propose(7).recipe == resolve(spec.recipe, point(spec.search, 4, 6))


def test_the_grid_is_walked_once() -> None:
    spec = space(sampler=Sampler(kind="grid"), search=GRID, runs=10)
    recipes = [SearchPlan(spec).propose(number).recipe for number in range(10)]
    points = {(recipe.optimizer.betas[1], recipe.budget.accumulation) for recipe in recipes[1:]}
    assert len(points) == grid_points(GRID) == 9


def test_seeds_give_other_runs() -> None:
    for kind in ("tpe", "random", "qmc"):
        first, second = (
            run(spec, SearchPlan(spec), 0, 6)
            for spec in (spec_of(kind), spec_of(kind, sampler=Sampler(kind=kind, seed=5, startup=3)))
        )
        assert first[0] == second[0]
        assert all(one != other for one, other in zip(first[1:], second[1:], strict=True))


def test_a_baseline_outside_the_ranges_does_not_disturb_the_sampler() -> None:
    outside = resolve(space().recipe, {"optimizer.lr": 0.9, "optimizer.weight_decay": 7.0})
    spec = spec_of("tpe", recipe=outside)
    recipes = run(spec, SearchPlan(spec), 0, 9)
    for recipe in recipes[1:]:
        assert all(contains(spec.search[path], value) for path, value in searched_values(recipe, spec).items())


# --- alternatives, conditions, constraints, starts --------------------------------------------------------------

CONDITIONAL: dict[str, Any] = {
    "search": {"budget.batch_size": Choice([32, 64]), "budget.accumulation": RandInt(1, 4)},
    "one_of": {
        "optimizer": (
            Alternative("adamw", {}, {"lr": LogUniform(1e-4, 1e-2), "betas": Choice([(0.9, 0.999), (0.9, 0.95)])}),
            Alternative("sgd", {"nesterov": False}, {"lr": LogUniform(1e-2, 1), "momentum": QUniform(0.0, 0.9, 0.3)}),
        )
    },
    "when": {"budget.accumulation": {"budget.batch_size": (32,)}},
    "constraints": ("budget.batch_size * budget.accumulation <= 96",),
    "starts": ({"optimizer.lr": 3e-4}, {"optimizer.kind": "sgd", "optimizer.lr": 0.1, "budget.batch_size": 32}),
    "runs": 24,
}


def conditional(kind: Any, **changes: Any) -> SpaceSpec:
    return space(sampler=Sampler(kind=kind, seed=4, startup=6), **(CONDITIONAL | changes))


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc"])
def test_conditional_proposals_are_valid_and_continue_after_a_restart(kind: Any) -> None:
    spec = conditional(kind)
    whole = run(spec, SearchPlan(spec), 0, 24)
    parameters = spec.parameters
    assert whole[0] == spec.recipe
    assert whole[1] == resolve(spec.recipe, {"optimizer.lr": 3e-4})
    assert (whole[2].optimizer.kind, whole[2].optimizer.lr, whole[2].budget.batch_size) == ("sgd", 0.1, 32)
    assert whole[2].optimizer.model_dump()["nesterov"] is False  # it comes with the alternative
    for recipe in whole[3:]:
        point = parameters.read(recipe)
        assert all(contains(parameters.distributions[name], value) for name, value in point.items())
        assert parameters.satisfies(point)
        assert parameters.resolved(point) == recipe
    assert {recipe.optimizer.kind for recipe in whole} == {"adamw", "sgd"}
    for crash in (2, 7, 15):
        resumed = SearchPlan(spec)
        for number, recipe in enumerate(whole[:crash]):
            resumed.learn(view(spec, number, recipe))
        assert run(spec, resumed, crash, 24 - crash) == whole[crash:]


def test_tpe_continues_alike_while_runs_are_training() -> None:
    """What a live driver knows of a running run is what a new driver reads from the database."""
    spec = conditional("tpe")
    recipes = run(spec, SearchPlan(spec), 0, 12)
    live, resumed = SearchPlan(spec), SearchPlan(spec)
    for number, recipe in enumerate(recipes):
        live.learn(view(spec, number, recipe))
        resumed.learn(view(spec, number, recipe))
    for number in (12, 13, 14):
        planned = live.propose(number)
        live.learn(view(spec, number, planned.recipe, state=RunState.RUNNING, value=None, curve={}))
        resumed.learn(view(spec, number, planned.recipe, state=RunState.INTERRUPTED, value=None, curve={}))
    assert live.propose(15) == resumed.propose(15)


def test_the_names_that_the_dashboard_has() -> None:
    plan = SearchPlan(conditional("tpe"))
    assert list(plan.parameters) == [
        "optimizer.kind",
        "budget.batch_size",
        "optimizer[adamw].lr",
        "optimizer[adamw].betas",
        "optimizer[sgd].lr",
        "optimizer[sgd].momentum",
        "budget.accumulation",
    ]
    assert list(plan.values(plan.propose(2))) == [
        "optimizer.kind",
        "budget.batch_size",
        "optimizer[sgd].lr",
        "optimizer[sgd].momentum",
        "budget.accumulation",
    ]


def test_columns_have_the_names_of_fields() -> None:
    spec = conditional("tpe")
    fields = searched_fields(SearchPlan(spec).propose(2).recipe, spec)
    assert fields == {
        "optimizer.kind": "sgd",
        "budget.batch_size": 32,
        "optimizer.lr": 0.1,
        "optimizer.momentum": 0.9,
        "budget.accumulation": 1,
    }


def test_a_conditional_grid_is_walked_once() -> None:
    one_of = {"optimizer": (Alternative("adamw", {}, {"lr": Choice([1e-3, 1e-2])}), Alternative("sgd"))}
    spec = space(sampler=Sampler(kind="grid"), **(CONDITIONAL | {"one_of": one_of, "starts": (), "runs": 13}))
    recipes = [SearchPlan(spec).propose(number).recipe for number in range(13)]
    assert len({recipe_hash(recipe) for recipe in recipes[1:]}) == 12  # 3 optimizers x (3 accumulations of 32, or 64)


def test_tpe_learns_which_alternative_is_better() -> None:
    """Optimum: sgd at 0.1; adamw is worse by 2 wherever it is."""

    def loss(recipe: Recipe) -> float:
        best, extra = (0.1, 0.0) if recipe.optimizer.kind == "sgd" else (1e-3, 2.0)
        return extra + math.log10(recipe.optimizer.lr / best) ** 2

    found = {}
    for kind in ("tpe", "random"):
        spec = conditional(kind, runs=40, metric=Metric(name="val/nll", goal="minimize"))
        plan, losses = SearchPlan(spec), list[float]()
        for number in range(40):
            recipe = plan.propose(number).recipe
            losses.append(loss(recipe))
            plan.learn(view(spec, number, recipe, value=losses[-1], curve={9: losses[-1]}))
        found[kind] = sum(losses[9:]) / 31
    assert found["tpe"] < 0.7 * found["random"]


def test_tpe_leaves_a_corner_that_a_constraint_forbids() -> None:
    """The optimum is where nothing may be proposed; TPE alone would ask for it for ever."""
    search = {"schedule.warmup": Uniform(0.0, 0.3), "regularization.dropout": Uniform(0.0, 0.5)}
    spec = space(
        sampler=Sampler(kind="tpe", startup=6),
        search=search,
        constraints=("schedule.warmup + regularization.dropout <= 0.4",),
        runs=40,
    )
    plan = SearchPlan(spec)
    for number in range(40):
        recipe = plan.propose(number).recipe
        point = spec.parameters.read(recipe)
        assert spec.parameters.satisfies(point)
        value = sum(float(str(one)) for one in point.values())
        plan.learn(view(spec, number, recipe, value=value, curve={9: value}))
