"""The optimizer switch, and the rates of every step."""

import copy

import pytest
import torch
from torch import nn

from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Switch
from search_spaces.recipe.schedules import Constant, Linear, Plateau, WeightDecaySchedule
from search_spaces.seeds import derive_seed
from trainers.loop.training import Training
from trainers.optim.schedules import factor
from trainers.seeding import seed_for, stream

BUDGET = Budget(epochs=4, batch_size=10)  # 70 examples: 28 steps


@pytest.mark.parametrize(("at", "first"), [(0.5, 14), (0.34, 10), (0.01, 1), (0.99, 28), (1 / 28 * 3, 3)])
def test_equal_to_two_optimizers_of_torch(blobs, at, first):
    recipe = Recipe(
        optimizer=AdamW(lr=0.02, weight_decay=0.1, decay="all"),
        switch=Switch(at=at, to=SGD(lr=0.2, weight_decay=0.0)),
        schedule=Linear(),
        budget=BUDGET,
    )
    training = Training(recipe, blobs, 0)
    model = copy.deepcopy(training.model)
    adamw = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    sgd = torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True)
    train = blobs.data(seed_for(blobs, derive_seed(0, "split"))).train
    step = 0
    for epoch in range(4):
        for indices in torch.randperm(70, generator=stream(0, "order", epoch)).split(10):
            optimizer, peak = (adamw, 0.02) if step < first else (sgd, 0.2)
            optimizer.param_groups[0]["lr"] = rate = peak * factor(Linear(), step, 28)
            nn.functional.cross_entropy(model(train.inputs[indices]), train.targets[indices]).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        assert training.run_epoch().metrics["train/lr"] == pytest.approx(rate)
    for p, q in zip(training.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_a_snapshot_contains_the_active_optimizer(blobs):
    recipe = Recipe(optimizer=AdamW(), switch=Switch(at=0.5, to=SGD()), budget=BUDGET)
    training = Training(recipe, blobs, 0)
    snapshots = [training.state_dict()]
    for _ in range(4):
        training.run_epoch()
        snapshots.append(training.state_dict())
    assert [state["switched"] for state in snapshots] == [False, False, False, True, True]
    again = Training(recipe, blobs, 0)
    for back in (4, 1, 3, 0):  # a training may also be taken back
        again.load_state_dict(snapshots[back])
        assert type(again._stepper.optimizer) is (torch.optim.SGD if back > 2 else torch.optim.AdamW)


def course(training: Training, key: str) -> list[float]:
    """Return the rates of the group of the matrices at every step."""
    seen = []
    training._stepper.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0][key])
    )
    while not training.finished:
        training.run_epoch()
    return seen


def test_weight_decay_follows_its_schedule_and_exempt_groups_stay_exempt(blobs):
    recipe = Recipe(
        optimizer=AdamW(weight_decay=0.1),
        weight_decay_schedule=WeightDecaySchedule(kind="linear", final_factor=0.5),
        budget=BUDGET,
    )
    training = Training(recipe, blobs, 0)
    assert course(training, "weight_decay") == pytest.approx([0.1 - 0.05 * step / 28 for step in range(28)])
    assert [group["weight_decay"] for group in training._stepper.optimizer.param_groups][1:] == [0.0]


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.1), ("linear", 0.8), ("sqrt", 0.1 * 8**0.5)])
def test_the_peak_is_scaled_with_the_effective_batch(blobs, rule, expected):
    budget = Budget(epochs=1, batch_size=10, accumulation=4, lr_scaling=rule, base_batch_size=5)
    recipe = Recipe(optimizer=SGD(lr=0.1), schedule=Constant(), budget=budget)
    assert Training(recipe, blobs, 0).run_epoch().metrics["train/lr"] == pytest.approx(expected)


def test_the_rate_of_a_group_is_its_share_of_the_rate(blobs):
    training = Training(Recipe(schedule=Linear(), budget=BUDGET), blobs, 0)
    training._stepper.optimizer.param_groups[0]["lr_scale"] = 0.25
    rates = course(training, "lr")
    assert rates == pytest.approx([0.25 * 1e-3 * factor(Linear(), step, 28) for step in range(28)])


def test_a_plateau_lowers_the_rate_of_the_next_epoch(blobs):
    schedule = Plateau(patience=0, gamma=0.5)
    recipe = Recipe(optimizer=SGD(lr=1.0), schedule=schedule, budget=Budget(epochs=12, batch_size=10))
    training = Training(recipe, blobs, 0)
    reports = [training.run_epoch().metrics for _ in range(12)]
    oracle_optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(oracle_optimizer, factor=0.5, patience=0)
    for metrics in reports:
        assert metrics["train/lr"] == pytest.approx(oracle_optimizer.param_groups[0]["lr"])
        oracle.step(metrics["val/nll"])
    assert oracle_optimizer.param_groups[0]["lr"] < 1.0
