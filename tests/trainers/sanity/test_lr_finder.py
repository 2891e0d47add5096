import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from search_spaces import parse_space
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.recipe.schedules import Constant
from trainers.loop.training import Training
from trainers.sanity import lr_curve
from trainers.sanity.lr_curve import (
    MOST_RUNS,
    RATIO,
    SCAN_MARGIN,
    LrPlan,
    LrScan,
    ShortRun,
    Suggestion,
    after_training,
    blown_up,
    next_rate,
    rate_text,
    rates,
    short_steps,
    smooth,
    suggest,
)
from trainers.sanity.lr_finder import find_lr, range_test
from trainers.sanity.probe import Probe, probe_data
from trainers.task_lookup import load_task


def curve(knee: float, blow_up: float | None, noise: float = 0.0, seed: int = 0) -> tuple[list[float], list[float]]:
    """Return losses that fall from 2.3 by 1.5 within a decade around `knee` and diverge from `blow_up` on."""
    lrs = rates(200)
    x = np.log10(lrs)
    losses = 2.3 - 1.5 / (1 + np.exp(-6 * (x - math.log10(knee))))
    if blow_up is not None:
        losses = losses + np.where(x > math.log10(blow_up), 10.0 ** (4 * (x - math.log10(blow_up))) - 1, 0.0)
    losses = losses + noise * np.random.default_rng(seed).standard_normal(len(lrs))
    return lrs, losses.tolist()


def test_rates_rise_by_the_same_factor() -> None:
    found = rates(9)
    assert found == pytest.approx([10.0**power for power in range(-7, 2)])
    assert len(rates()) == lr_curve.STEPS


def test_smoothing_is_adams_moment() -> None:
    losses = [3.0, 1.0, 2.0, 5.0]
    weights = [[0.95 ** (n - 1 - i) for i in range(n)] for n in range(1, 5)]
    expected = [np.average(losses[: len(w)], weights=w) for w in weights]
    assert smooth(losses) == pytest.approx(expected)
    assert smooth([4.0] * 50) == pytest.approx([4.0] * 50)


@pytest.mark.parametrize("knee", [1e-4, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_the_suggestion_is_where_the_loss_falls(knee: float, noise: float) -> None:
    for seed in range(5):
        found = suggest(*curve(knee, blow_up=30 * knee, noise=noise, seed=seed))
        assert found is not None
        assert knee / 2 < found.steepest < 5 * knee
        assert 0.9 * found.steepest < SCAN_MARGIN * found.lr <= found.steepest
        assert found.low <= found.lr / 10
        assert found.lr < found.high < 30 * knee * 3
        assert found.blow_up is None or found.lr < found.blow_up


def test_the_blow_up_is_where_the_average_is_four_times_its_minimum_or_no_number() -> None:
    lrs, losses = curve(1e-3, blow_up=0.03)
    found = suggest(lrs, losses)
    assert found is not None
    at = lrs.index(found.blow_up)
    averages = smooth(losses)
    assert averages[at] > 4 * min(averages[:at])
    assert averages[at - 1] <= 4 * min(averages[:at])
    losses[150] = math.nan
    cut = suggest(lrs, losses)
    assert cut is not None
    assert cut.blow_up == min(found.blow_up, lrs[150])


def test_without_a_blow_up_the_scan_reaches_its_end() -> None:
    found = suggest(*curve(1e-2, blow_up=None))
    assert found is not None
    assert found.blow_up is None
    assert found.high <= 10 * found.steepest


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_suggested_when_the_loss_does_not_fall(seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(200)
    assert suggest(rates(200), (2.3 + 0.1 * noise).tolist()) is None
    rising = 2.3 + 0.1 * noise + np.linspace(0, 1, 200)
    assert suggest(rates(200), rising.tolist()) is None


def test_the_first_batch_alone_decides_nothing() -> None:
    lrs, losses = curve(1e-2, blow_up=1.0, noise=0.05)
    calm = suggest(lrs, losses)
    assert calm is not None
    for first in (6.0, 0.01):
        found = suggest(lrs, [first, *losses[1:]])
        assert found is not None
        assert found.lr == pytest.approx(calm.lr, rel=0.3)
    assert not blown_up(smooth([0.01, 2.3, 2.3]))


def test_a_scan_that_is_too_short_says_nothing() -> None:
    assert suggest([], []) is None
    assert suggest(rates(10), [2.0] * 10) is None
    assert suggest([1e-3], [math.nan]) is None


def test_the_search_line_can_be_pasted() -> None:
    line = Suggestion(3.4e-3, 3e-4, 0.03, 3.45e-3, None).search_line
    assert line == "optimizer.lr: {loguniform: [3e-4, 0.03]}"
    head = "kind: sweep\ntask: digits\nmetric: {name: val/accuracy, goal: maximize}\nruns: 4\nsearch:\n  "
    spec = parse_space(head + line, "x.yaml", "x")
    assert spec.search["optimizer.lr"].arguments() == [3e-4, 0.03]


@pytest.mark.parametrize(
    ("rate", "text"), [(1e-7, "1e-7"), (2.5e-3, "2.5e-3"), (0.01, "0.01"), (0.1, "0.1"), (10.0, "10"), (3e-4, "3e-4")]
)
def test_rates_are_written_as_people_do(rate: float, text: str) -> None:
    assert rate_text(rate) == text
    assert float(text) == rate


def tried(start: float, loss: Callable[[float], float | None]) -> list[ShortRun]:
    runs: list[ShortRun] = []
    while (lr := next_rate(start, runs)) is not None:
        runs.append(ShortRun(lr, loss(lr)))
    return runs


@pytest.mark.parametrize("start", [1e-4, 1e-3, 4e-3, 0.01, 0.05, 0.2])
def test_short_trainings_bracket_the_best_rate(start: float) -> None:
    """Half a decade apart, the best of them is within a quarter of a decade of the minimum of a parabola."""
    best = 5e-3
    runs = tried(start, lambda lr: None if lr > 0.5 else math.log10(lr / best) ** 2)
    assert 3 <= len(runs) <= MOST_RUNS
    lrs = sorted(run.lr for run in runs)
    assert np.diff(np.log10(lrs)) == pytest.approx(math.log10(RATIO))
    chosen = min(runs, key=lambda run: run.order).lr
    assert abs(math.log10(chosen / best)) <= 0.25
    assert lrs[0] < chosen < lrs[-1]


def test_short_trainings_that_diverge_are_followed_by_lower_rates() -> None:
    runs = tried(1.0, lambda lr: None if lr > 0.05 else 1.0 + lr)
    assert [run.lr for run in runs] == pytest.approx([1.0 / RATIO**n for n in range(MOST_RUNS)])


@pytest.mark.parametrize(("steps", "short"), [(27 * 62, 167), (600, 100), (80, 80), (100_000, 10_000)])
def test_a_short_training_is_a_tenth_of_a_run(steps: int, short: int) -> None:
    assert short_steps(steps) == short


def made_scan(blow_up: float | None = None) -> LrScan:
    found = Suggestion(0.01, 1e-3, 0.2, 0.03, blow_up)
    return LrScan("x", "sgd", 0.1, (1e-7, 10.0), (2.3, 2.3), (2.3, 2.3), found, 1.0)


@pytest.mark.parametrize(("blow_up", "high"), [(None, 0.4), (0.1, 0.1), (0.01, 0.04)])
def test_the_best_short_training_gives_the_suggestion(blow_up: float | None, high: float) -> None:
    runs = [ShortRun(0.126, None), ShortRun(0.04, 1.0), ShortRun(0.0126, 1.4)]
    found = after_training(made_scan(blow_up), LrPlan(200, 100, 900), runs)
    assert found.runs == tuple(runs)
    assert found.suggestion == Suggestion(0.013, 1e-3, high, 0.03, blow_up, trained=0.04, margin=3.0)
    assert found.suggestion.origin == "that of the short trainings, 0.04, divided by 3"


def test_a_lower_rate_is_chosen_that_is_almost_as_good() -> None:
    """From 2.3, a loss of 1.06 has 95 % of the fall to 1.0, and 1.1 has not."""
    plan, best, worst = LrPlan(200, 100, 900), ShortRun(0.04, 1.0), ShortRun(0.126, 1.01)
    for loss, rate in ((1.06, 0.0126), (1.1, 0.04)):
        found = after_training(made_scan(), plan, [best, worst, ShortRun(0.0126, loss)]).suggestion
        assert found is not None
        assert found.trained == rate


def test_short_trainings_may_learn_what_the_range_test_does_not() -> None:
    scan = replace(made_scan(), suggestion=None)
    plan, runs = LrPlan(200, 100, 900), [ShortRun(0.04, 1.0), ShortRun(0.0126, 1.4), ShortRun(0.126, None)]
    found = after_training(scan, plan, runs).suggestion
    assert found == Suggestion(0.013, 1e-3, 0.4, None, None, trained=0.04, margin=3.0)
    assert after_training(scan, plan, [ShortRun(0.04, 2.3)]).suggestion is None


@pytest.mark.parametrize("runs", [[], [ShortRun(0.1, None)], [ShortRun(0.1, 2.29), ShortRun(0.03, 2.31)]])
def test_short_trainings_that_learn_nothing_leave_the_suggestion(runs: list[ShortRun]) -> None:
    found = after_training(made_scan(), LrPlan(200, 100, 900), runs)
    assert found.suggestion == made_scan().suggestion
    assert found.runs == tuple(runs)
    assert "the steepest descent, 0.03, divided by" in found.suggestion.origin


def test_the_plan_comes_before_anything_is_trained(blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(optimizer=AdamW(), schedule=Constant(warmup_steps=40), budget=Budget(epochs=80, batch_size=32))
    monkeypatch.setattr(Probe, "train", lambda *_: pytest.fail("it has been trained"))
    assert next(find_lr(blobs, recipe, 0)) == LrPlan(200, 100, 240)
    assert next(find_lr(blobs, recipe, 0, quick=True)) == LrPlan(200, 0, 240)


def test_short_trainings_are_trainings_of_the_recipe_with_fewer_steps(blobs) -> None:
    recipe = Recipe(optimizer=AdamW(), schedule=Constant(warmup_steps=48), budget=Budget(epochs=80, batch_size=32))
    _, first, *rest = find_lr(blobs, recipe, 0, "blobs")
    assert first == replace(rest[-1], runs=(), suggestion=first.suggestion)
    assert [len(scan.runs) for scan in rest] == list(range(1, len(rest) + 1))
    run = rest[-1].runs[1]
    budget = Budget(steps=100, report_every=100, batch_size=32)
    short = Recipe(optimizer=AdamW(lr=run.lr), schedule=Constant(warmup_steps=20), budget=budget)
    report = Training(short, blobs, 0).advance(100)
    assert report is not None
    assert run.loss == report.metrics["val/nll"]
    [_, only] = find_lr(blobs, recipe, 0, "blobs", quick=True)
    assert replace(only, seconds=0) == replace(first, seconds=0)


def test_a_deep_network_without_normalisation_gets_a_rate_that_trains_it() -> None:
    """Ten layers of ReLU: the steepest descent is at .039, near the rates at which a whole training breaks."""
    deep = Model(kind="mlp", depth=10, width=64, init="he")
    recipe = Recipe(optimizer=SGD(), model=deep, budget=Budget(steps=480, report_every=480))
    *_, found = find_lr(load_task("digits"), recipe, 0)
    assert isinstance(found, LrScan)
    assert found.suggestion is not None
    assert found.suggestion.steepest == pytest.approx(0.0387, rel=0.1)
    assert 0.01 / 5 <= found.suggestion.lr <= 0.01 * 2
    assert found.suggestion.low <= 0.01 <= found.suggestion.high
    trained = recipe.model_copy(update={"optimizer": SGD(lr=found.suggestion.lr)})
    report = Training(trained, load_task("digits"), 1).advance(480)
    assert report is not None
    assert report.metrics["val/accuracy"] > 0.85


RECIPES = {
    "adamw": Recipe(
        optimizer=AdamW(lr=0.01, weight_decay=0.1),
        regularization=Regularization(dropout=0.3, clip_norm=0.5, mixup=0.3),
        schedule=Constant(),
        budget=Budget(epochs=2, batch_size=8, accumulation=2, lr_scaling="sqrt", base_batch_size=4),
    ),
    "sgd": Recipe(
        optimizer=SGD(lr=0.05),
        schedule=Constant(),
        regularization=Regularization(clip_value=0.1, label_smoothing=0.1),
        budget=Budget(epochs=2, batch_size=16),
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_probe_makes_the_steps_of_a_training(blobs, name: str) -> None:
    recipe = RECIPES[name]
    training = Training(recipe, blobs, 3)
    reports = [training.run_epoch(), training.run_epoch()]
    probe = Probe(recipe, blobs, probe_data(recipe, blobs, 3), 3)
    steps, size = probe.steps_per_epoch, recipe.budget.batch_size * recipe.budget.accumulation
    assert steps == math.ceil(70 / size)
    losses = probe.train([recipe.optimizer.lr] * (2 * steps))
    expected = training.model.state_dict()
    found = probe.model.state_dict()
    assert all(bool((found[key] == expected[key]).all()) for key in expected)
    weights = [size] * (steps - 1) + [70 - size * (steps - 1)]
    for epoch, report in enumerate(reports):
        mean = np.average(losses[epoch * steps : (epoch + 1) * steps], weights=weights)
        assert mean == pytest.approx(report.metrics["train/loss"], rel=1e-6)


@pytest.mark.parametrize("optimizer", [AdamW(), SGD()])
def test_a_scan_of_a_task_that_can_be_learned(blobs, optimizer) -> None:
    recipe = Recipe(optimizer=optimizer, budget=Budget(batch_size=32))
    scan = range_test(blobs, recipe, 0)
    assert scan.suggestion is not None
    assert 1e-4 < scan.suggestion.lr < 1.0
    assert scan.optimizer == optimizer.kind
    assert len(scan.lrs) == len(scan.losses) == len(scan.smoothed) <= lr_curve.STEPS
    assert scan.losses == range_test(blobs, recipe, 0).losses


def test_fields_that_a_scan_ignores_change_nothing(blobs) -> None:
    recipe = RECIPES["adamw"]
    other = recipe.model_copy(update={"schedule": Recipe().schedule, "optimizer": AdamW(lr=1.0, weight_decay=0.1)})
    assert range_test(blobs, recipe, 0).losses == range_test(blobs, other, 0).losses


def test_the_rates_are_those_that_a_recipe_writes(blobs) -> None:
    """With lr_scaling the optimizer uses a multiple of the rate, so the scan blows up at a lower one."""
    plain = Recipe(optimizer=SGD(momentum=0.0, nesterov=False), budget=Budget(batch_size=16))
    scaled = plain.model_copy(update={"budget": Budget(batch_size=16, lr_scaling="linear", base_batch_size=1)})
    step = 10 ** (8 / 199)
    data = probe_data(plain, blobs, 0)
    one = Probe(plain, blobs, data, 0).train([0.16, 0.16 * step])
    assert Probe(scaled, blobs, data, 0).train([0.01, 0.01 * step]) == pytest.approx(one)


def test_the_numbers_need_no_torch() -> None:
    modules = "trainers.sanity.lr_curve, trainers.check, trainers.sanity.thresholds, sweeps.preflight.task_report"
    code = f"import sys, json, {modules}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in json.loads(done.stdout)
