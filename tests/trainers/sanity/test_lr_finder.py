import json
import math
import subprocess
import sys

import numpy as np
import pytest

from search_spaces import parse_space
from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.recipe.schedules import Constant
from trainers.loop.training import Training
from trainers.sanity import lr_curve
from trainers.sanity.lr_curve import Suggestion, blown_up, rate_text, rates, smooth, suggest
from trainers.sanity.lr_finder import find_lr
from trainers.sanity.probe import Probe, probe_data


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
        assert 0.9 * found.steepest < found.lr <= found.steepest
        assert found.low <= found.steepest / 10
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
    scan = find_lr(blobs, recipe, 0)
    assert scan.suggestion is not None
    assert 1e-4 < scan.suggestion.lr < 1.0
    assert scan.optimizer == optimizer.kind
    assert len(scan.lrs) == len(scan.losses) == len(scan.smoothed) <= lr_curve.STEPS
    assert scan.losses == find_lr(blobs, recipe, 0).losses


def test_fields_that_a_scan_ignores_change_nothing(blobs) -> None:
    recipe = RECIPES["adamw"]
    other = recipe.model_copy(update={"schedule": Recipe().schedule, "optimizer": AdamW(lr=1.0, weight_decay=0.1)})
    assert find_lr(blobs, recipe, 0).losses == find_lr(blobs, other, 0).losses


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
