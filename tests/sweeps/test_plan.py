from __future__ import annotations

import itertools
from typing import Any

import pytest

from search_spaces import (
    Choice,
    LogUniform,
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
from sweeps.plan import SearchPlan, searched_values
from sweeps.study import lies_in
from sweeps.tables import RunState
from sweeps.trial_view import TrialView
from tests.fakes import analytic, space

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


def view(spec: SpaceSpec, number: int, recipe: Recipe, **changes: Any) -> TrialView:
    value = analytic(recipe, 9)["val/accuracy"]
    parts: dict[str, Any] = {"state": RunState.COMPLETE, "value": value, "curve": {9: value}, "seed": 0}
    return TrialView(number=number, values=searched_values(recipe, spec), **(parts | changes))


def run(spec: SpaceSpec, plan: SearchPlan, first: int, count: int) -> list[Recipe]:
    """The next recipes, each trained before the next one is asked for, as a conductor does."""
    recipes = []
    for number in range(first, first + count):
        recipe = plan.propose(number).recipe
        plan.learn(view(spec, number, recipe, state=RunState.RUNNING, value=None, curve={}))
        plan.learn(view(spec, number, recipe))
        recipes.append(recipe)
    return recipes


KINDS = ["tpe", "random", "qmc", "gp", "grid"]


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
            assert lies_in(spec.search[path], value), (path, value)
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
def test_a_restart_with_the_same_history_goes_on_alike(kind: Any, crash: int) -> None:
    spec = spec_of(kind)
    whole = run(spec, SearchPlan(spec), 0, 9)
    resumed = SearchPlan(spec)
    for number, recipe in enumerate(whole[:crash]):
        resumed.learn(view(spec, number, recipe))
    assert run(spec, resumed, crash, 9 - crash) == whole[crash:]


def test_a_restart_knows_runs_in_every_state() -> None:
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
        assert all(lies_in(spec.search[path], value) for path, value in searched_values(recipe, spec).items())
