from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, get_args

import optuna
import pytest

from search_spaces import Choice, Distribution, LogUniform, Recipe, Sampler, SweepError, Uniform, random_point
from search_spaces.search.constraints import Constraint
from search_spaces.search.parameters import Parameters
from search_spaces.specs.space_parts import SAMPLERS, SamplerKind
from sweeps.run_state import RunState
from sweeps.study.sampler import OptunaSampler, SequenceSampler, build_sampler
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import snapshot_of, space

PLANE: dict[str, Distribution] = {"optimizer.lr": LogUniform(1e-5, 1e-1), "schedule.warmup": Uniform(0.0, 0.9)}


def quadratic(values: Mapping[str, Any]) -> float:
    """0 at lr 1e-2 and warmup 0.2, larger elsewhere."""
    return float((math.log10(values["optimizer.lr"]) + 2) ** 2 + (4 * (values["schedule.warmup"] - 0.2)) ** 2)


def done(number: int, values: Mapping[str, Any], sign: float = 1.0) -> RunSnapshot:
    value = sign * quadratic(values)
    return snapshot_of(number, values=values, value=value, curve={1: value})


def _optimize(seed: int, startup: int, count: int, goal: Any = "minimize") -> list[float]:
    sampler = Sampler(kind="tpe", seed=seed, startup=startup)
    proposer = OptunaSampler(sampler, goal, Parameters(Recipe(), PLANE), first=0)
    losses = []
    for number in range(count):
        values = proposer.propose(number)
        assert number >= startup or values == random_point(PLANE, seed, number)
        proposer.learn(done(number, values, 1.0 if goal == "minimize" else -1.0))
        losses.append(quadratic(values))
    return losses


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_tpe_is_better_than_random(goal: Any) -> None:
    tpe = [sum(_optimize(seed, 8, 25, goal)[8:]) / 17 for seed in range(4)]
    chance = [sum(quadratic(random_point(PLANE, seed, number)) for number in range(8, 25)) / 17 for seed in range(4)]
    assert sum(tpe) < 0.5 * sum(chance)
    assert all(one < other for one, other in zip(tpe, chance, strict=True))


def test_proposals_depend_on_history_and_number_alone() -> None:
    def proposer(seed: int = 0, shift: float = 0.0) -> OptunaSampler:
        one = OptunaSampler(Sampler(kind="tpe", seed=seed), "minimize", Parameters(Recipe(), PLANE))
        for number in range(12):
            point = random_point(PLANE, 3, number)
            one.learn(
                done(
                    number,
                    point | {"schedule.warmup": 0.9 - point["schedule.warmup"] if shift else point["schedule.warmup"]},
                )
            )
        return one

    first = proposer().propose(12)
    optuna.samplers.RandomSampler(seed=1)  # nothing global matters
    assert proposer().propose(12) == first
    assert proposer(seed=1).propose(12) != first
    assert proposer(shift=1.0).propose(12) != first


def test_a_run_that_waits_is_not_proposed_again() -> None:
    proposer = OptunaSampler(Sampler(kind="tpe", startup=5), "minimize", Parameters(Recipe(), PLANE), first=0)
    for number in range(5):
        proposer.learn(done(number, random_point(PLANE, 0, number)))
    waiting = random_point(PLANE, 0, 5)
    proposer.learn(snapshot_of(5, RunState.INTERRUPTED, values=waiting))
    assert proposer.propose(6) != waiting


def test_tpe_gives_up_with_one_clear_error() -> None:
    parameters = Parameters(
        Recipe(), {"optimizer.lr": Uniform(0.1, 1)}, constraints=(Constraint("optimizer.lr < 0.1"),)
    )
    proposer = OptunaSampler(Sampler(kind="tpe"), "minimize", parameters)
    with pytest.raises(SweepError, match="nothing to propose: 100 points in a row break the constraints"):
        proposer.propose(12)


def test_every_kind_of_sampler_is_declared_and_built() -> None:
    assert tuple(SAMPLERS) == get_args(SamplerKind)
    for kind, traits in SAMPLERS.items():
        search = {"budget.accumulation": Choice([1, 2])}
        built = build_sampler(space(sampler=Sampler(kind=kind), search=search, runs=2))  # type: ignore[arg-type]
        assert isinstance(built, OptunaSampler if traits.adaptive else SequenceSampler)


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc", "grid"])
def test_only_gp_loads_torch(kind: str) -> None:
    code = f"""
import sys
from search_spaces import Choice, Metric, Sampler, SpaceSpec
from sweeps.plan.search_plan import SearchPlan
metric = Metric(name="val/nll", goal="minimize")
search = {{"budget.accumulation": Choice([1, 2, 3])}}
sampler = Sampler(kind={kind!r}, startup=1)
plan = SearchPlan(SpaceSpec(name="x", task="digits", metric=metric, search=search, sampler=sampler, runs=4))
print([plan.propose(number).number for number in range(4)], "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("]")[1].strip() == "False"


MIXED: dict[str, Distribution] = {"custom.x": Choice([0, False, 1, True, "1"])}


@pytest.mark.parametrize("best", [0, False, 1, True, "1"])
@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_true_and_one_are_learned_apart(kind: SamplerKind, best: Any) -> None:
    parameters = Parameters(Recipe.model_validate({"custom": {"x": 0}}), MIXED)
    sampler = OptunaSampler(Sampler(kind=kind, startup=0), "maximize", parameters, first=0)
    options = MIXED["custom.x"].edges()
    for number in range(10):
        option = options[number % 5]
        value = float(repr(option) == repr(best))
        sampler.learn(snapshot_of(number, values={"custom.x": option}, value=value, curve={1: value}))
    proposed = [repr(sampler.propose(number)["custom.x"]) for number in range(10, 22)]
    assert proposed.count(repr(best)) > 6


@pytest.mark.parametrize("kind", ["random", "qmc", "grid", "tpe"])
def test_every_kind_proposes_true_and_one(kind: SamplerKind) -> None:
    spec = space(recipe=Recipe.model_validate({"custom": {"x": 0}}), search=MIXED, runs=6).model_copy(
        update={"sampler": Sampler(kind=kind, startup=40, seed=1)}
    )
    sampler = build_sampler(spec)
    proposed = {repr(sampler.propose(number)["custom.x"]) for number in range(1, 6 if kind == "grid" else 40)}
    assert proposed == {"0", "False", "1", "True", "'1'"}
