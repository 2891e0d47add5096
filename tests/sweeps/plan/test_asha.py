from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Asha, Budget, NoStopping
from search_spaces.recipe.reported import Goal
from sweeps.plan.asha import Rungs, cutoff, rung_epochs

Value = tuple[int, int, float]


@pytest.mark.parametrize(
    ("grace", "factor", "budget", "expected"),
    [
        (1, 3, 27, (1, 3, 9)),
        (1, 3, 28, (1, 3, 9, 27)),
        (2, 4, 100, (2, 8, 32)),
        (1, 2, 2, (1,)),
        (1, 3, 1, ()),
        (5, 3, 5, ()),
    ],
)
def test_rungs_are_powers_below_the_budget(grace: int, factor: int, budget: int, expected: tuple[int, ...]) -> None:
    assert rung_epochs(Asha(grace_epochs=grace, reduction_factor=factor), Budget(epochs=budget)) == expected


@pytest.mark.parametrize(
    ("rule", "steps", "expected"),
    [
        (Asha(), 2700, (100, 300, 900)),
        (Asha(), 20, (1, 3, 9)),
        (Asha(grace_epochs=5), 2700, (100, 300, 900)),
        (Asha(grace_steps=500), 2700, (500, 1500)),
    ],
)
def test_with_steps_the_first_rung_is_a_27th_of_them(rule: Asha, steps: int, expected: tuple[int, ...]) -> None:
    assert rung_epochs(rule, Budget(steps=steps)) == expected


def test_without_early_stopping_there_are_no_rungs() -> None:
    assert rung_epochs(NoStopping(), Budget(epochs=27)) == ()


def test_cutoff_by_hand() -> None:
    # The upper third of 1..4 starts at the quantile 2/3: 1 + 3 * 2/3.
    assert cutoff([4.0, 1.0, 3.0, 2.0], 3, "maximize") == pytest.approx(3.0)
    assert cutoff([4.0, 1.0, 3.0, 2.0], 3, "minimize") == pytest.approx(2.0)
    assert cutoff([5.0], 2, "maximize") == 5.0
    assert cutoff([], 2, "maximize") is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(2, 5))
def test_cutoff_is_numpys_quantile_and_mirrored(values: list[float], factor: int) -> None:
    assert cutoff(values, factor, "maximize") == pytest.approx(float(np.quantile(values, 1 - 1 / factor)))
    mirrored = cutoff([-value for value in values], factor, "minimize")
    assert mirrored == pytest.approx(-(cutoff(values, factor, "maximize") or 0.0), abs=1e-6)


def test_the_first_run_at_a_rung_continues_and_so_does_a_tie() -> None:
    rungs = Rungs((1, 3), 3, "maximize")
    assert not rungs.stops(0, 1, -5.0)
    assert not rungs.stops(1, 1, -5.0)
    assert rungs.stops(2, 1, -5.1)
    assert not rungs.stops(2, 3, -100.0)


def test_epochs_between_rungs_decide_nothing() -> None:
    rungs = Rungs((1, 3), 3, "maximize", [(0, 1, 1.0), (0, 2, 5.0), (1, 1, 1.0)])
    assert not rungs.stops(1, 2, -9.0)
    assert rungs.reached() == {1: 2, 3: 0}


def test_a_metric_that_is_reported_now_and_then_counts_at_the_rung_that_it_has_passed() -> None:
    rungs = Rungs((1, 3, 9), 3, "maximize", length=27)
    assert not rungs.stops(0, 5, 1.0)
    assert not rungs.stops(0, 20, 2.0)
    assert rungs.reached() == {1: 0, 3: 1, 9: 1}
    assert rungs.stops(1, 4, 0.9)
    assert not rungs.stops(2, 27, -9.0)  # its budget is trained


def test_a_repeated_value_is_decided_once() -> None:
    rungs = Rungs((1,), 2, "maximize", [(0, 1, 1.0), (1, 1, 2.0)])
    assert not rungs.stops(0, 1, 1.0)  # far below the cutoff by now, but it went on when it came
    assert rungs.reached() == {1: 2}
    assert rungs.stops(2, 1, 1.4)
    assert not rungs.stops(2, 1, 1.4)


def _arrivals(rng: np.random.Generator, count: int, rungs: tuple[int, ...]) -> list[Value]:
    """Runs that climb the rungs in turns."""
    position = dict.fromkeys(range(count), 0)
    order = []
    while position:
        number = int(rng.choice(list(position)))
        order.append((number, rungs[position[number]], float(np.round(rng.normal(), 1))))  # rounded: with ties
        position[number] += 1
        if position[number] == len(rungs):
            del position[number]
    return order


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_decides_as_ray_does(goal: Goal, factor: int) -> None:
    from ray.tune.schedulers.async_hyperband import _Bracket

    budget = factor**4
    rungs = rung_epochs(Asha(grace_epochs=1, reduction_factor=factor), Budget(epochs=budget))
    stopped_in_all = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        bracket = _Bracket(1, budget, factor, s=0)
        ours = Rungs(rungs, factor, goal)
        stopped: set[int] = set()
        for number, epoch, value in _arrivals(rng, 15, rungs):
            if number in stopped:
                continue
            reward = value if goal == "maximize" else -value
            theirs = bracket.on_result(SimpleNamespace(trial_id=str(number)), epoch, reward) == "STOP"
            assert ours.stops(number, epoch, value) == theirs, (seed, number, epoch, value)
            if theirs:
                stopped.add(number)
        stopped_in_all += len(stopped)
    assert stopped_in_all > 100


ARRIVALS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([1, 2, 3, 9]), st.floats(-10, 10)), max_size=60)


@given(ARRIVALS, st.integers(0, 60), st.sampled_from(["maximize", "minimize"]))
def test_a_rebuilt_ladder_decides_alike(arrivals: list[Value], crash: int, goal: Goal) -> None:
    first = Rungs((1, 3, 9), 3, goal)
    for arrival in arrivals[:crash]:
        first.stops(*arrival)
    second = Rungs((1, 3, 9), 3, goal, arrivals[:crash])
    assert second.reached() == first.reached()
    assert [second.stops(*arrival) for arrival in arrivals[crash:]] == [
        first.stops(*arrival) for arrival in arrivals[crash:]
    ]


@given(ARRIVALS)
def test_minimizing_mirrors_maximizing(arrivals: list[Value]) -> None:
    up, down = Rungs((1, 3, 9), 2, "maximize"), Rungs((1, 3, 9), 2, "minimize")
    for number, epoch, value in arrivals:
        assert up.stops(number, epoch, value) == down.stops(number, epoch, -value)


@given(ARRIVALS)
def test_what_stops_is_strictly_worse_than_the_best(arrivals: list[Value]) -> None:
    rungs = Rungs((1, 3, 9), 3, "maximize")
    best: dict[int, float] = {}
    for number, epoch, value in arrivals:
        rung = max(one for one in (1, 3, 9) if one <= epoch)
        if rungs.stops(number, epoch, value):
            assert value < best[rung]
        best[rung] = max(best.get(rung, -math.inf), value)


@pytest.mark.parametrize(
    ("rule", "budget", "rungs"),
    [
        (Asha(), Budget(steps=300, report_every=50), (50, 150)),
        (Asha(), Budget(steps=300), (11, 33, 99, 297)),
        (Asha(), Budget(steps=3000, report_every=50), (100, 300, 900, 2700)),
        (Asha(grace_steps=100, reduction_factor=2), Budget(steps=300, report_every=50), (100, 200)),
        (Asha(), Budget(epochs=27), (1, 3, 9)),
    ],
)
def test_rungs_are_where_runs_report(rule, budget, rungs):
    assert rung_epochs(rule, budget) == rungs
