"""Batches of a model with BatchNorm, which has no variance of one example."""

import copy

import pytest
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.averaging import SWA
from search_spaces.recipe.optimizers import SGD, ParameterGroups
from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.recipe.schedules import Linear
from trainers import task_checks
from trainers.compute.batches import check_batches, split_batches, split_steps
from trainers.loop.training import Training
from trainers.sanity.checks import check_task
from trainers.sanity.lr_finder import find_lr, range_test
from trainers.seeding import data_order
from trainers.tasks import Data

NORMED = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def norms(blobs, monkeypatch):
    """Task with BatchNorm and 65 examples: with batches of 2, 4, ... 64, one is left over."""
    blobs.train = 65
    monkeypatch.setattr(type(blobs), "model", lambda self, recipe: copy.deepcopy(NORMED))
    return blobs


def recipe(batch_size: int, accumulation: int = 1, **parts) -> Recipe:
    budget = Budget(epochs=2, batch_size=batch_size, accumulation=accumulation)
    return Recipe(**{"optimizer": SGD(lr=0.1), "schedule": Linear(), "budget": budget} | parts)


@pytest.mark.parametrize(
    ("examples", "batch_size", "accumulation", "sizes"),
    [
        (65, 64, 1, [[65]]),
        (65, 16, 1, [[16], [16], [16], [17]]),
        (65, 16, 3, [[16, 16, 16], [17]]),
        (65, 32, 2, [[32, 33]]),  # one example alone would have been a step
        (66, 16, 4, [[16, 16, 16, 16], [2]]),
        (64, 16, 4, [[16, 16, 16, 16]]),
        (3, 1, 2, [[1, 1], [1]]),
        (1, 16, 1, [[1]]),
    ],
)
def test_a_single_last_example_joins_the_batch_before_it(examples, batch_size, accumulation, sizes):
    order = torch.randperm(examples)
    budget = Budget(batch_size=batch_size, accumulation=accumulation)
    steps = split_steps(order, budget, at_least_two=True)
    assert [[len(batch) for batch in step] for step in steps] == sizes
    assert torch.equal(torch.cat([torch.cat(step) for step in steps]), order)


def test_other_models_have_the_batches_of_torch():
    order = torch.randperm(65)
    found = split_batches(order, 16, at_least_two=False)
    assert all(torch.equal(a, b) for a, b in zip(found, torch.split(order, 16), strict=True))


@pytest.mark.parametrize(("batch_size", "accumulation"), [(64, 1), (16, 1), (16, 3), (32, 2)])
def test_a_training_is_that_of_a_plain_loop_over_these_batches(norms, batch_size, accumulation):
    training = Training(recipe(batch_size, accumulation), norms, 0)
    model = copy.deepcopy(training.model)
    optimizer = torch.optim.SGD(
        [{"params": [p], "weight_decay": 5e-4 if p.ndim > 1 else 0.0} for p in model.parameters()],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )
    train = training._data.train
    steps = [split_steps(data_order(65, 0, e), training._recipe.budget, at_least_two=True) for e in range(2)]
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=sum(map(len, steps)))
    for step in [step for epoch in steps for step in epoch]:
        for batch in step:
            loss = nn.functional.cross_entropy(model(train.inputs[batch]), train.targets[batch], reduction="sum")
            (loss / sum(map(len, step))).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    reports = [training.run_epoch(), training.run_epoch()]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(training.model.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert all(report.finite for report in reports)


@pytest.mark.parametrize("batch_size", [64, 16])
def test_check_lr_find_and_averages_train_with_one_example_left_over(norms, batch_size, monkeypatch):
    one = recipe(batch_size)
    assert {check.name for check in check_task(norms, one, 0)} >= {"overfit one batch", "initial loss", "learning rate"}
    assert range_test(norms, one, 0, steps=10).losses
    training = Training(recipe(batch_size, averaging=SWA(last=1.0)), norms, 0)
    assert training.run_epoch().finite
    monkeypatch.setattr(task_checks, "load_target", lambda reference: norms)
    assert set(task_checks.prepare("x", one, 0)) == {"train", "val", "test"}  # it raises otherwise


@pytest.mark.parametrize(("examples", "batch_size"), [(65, 1), (1, 16)])
def test_batches_of_one_are_refused_at_the_start(norms, examples, batch_size, monkeypatch):
    data = type(norms).data
    monkeypatch.setattr(
        type(norms),
        "data",
        lambda self, seed: Data((d := data(self, seed)).train.take(torch.arange(examples)), d.val, d.test),
    )
    monkeypatch.setattr(task_checks, "load_target", lambda reference: norms)
    words = f"^BatchNorm needs two examples or more in a batch, found budget.batch_size {batch_size} and {examples} in "
    one = recipe(batch_size)
    for start in (
        lambda: Training(one, norms, 0),
        lambda: list(find_lr(norms, one, 0)),
        lambda: list(check_task(norms, one, 0)),
        lambda: task_checks.prepare("x", one, 0),
    ):
        before = torch.get_rng_state()
        with pytest.raises(UsageError, match=words) as raised:
            start()
        assert "\n" not in str(raised.value)
        assert torch.equal(before, torch.get_rng_state())


def test_layers_with_several_values_per_example_train_on_one():
    images = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert check_batches(images, torch.zeros(5, 1, 8, 8), recipe(1)) is None
    assert check_batches(nn.Linear(6, 3), torch.zeros(5, 6), recipe(1)) is None


def test_another_error_of_the_model_is_not_hidden():
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        check_batches(nn.Sequential(nn.BatchNorm1d(8)), torch.zeros(5, 1, 8, 8), recipe(1))


def test_a_frozen_norm_needs_no_second_example(norms):
    frozen = recipe(1, groups=ParameterGroups(frozen=("1",)))
    assert Training(frozen, norms, 0).run_epoch().finite
    left_over = recipe(16, groups=ParameterGroups(frozen=("1",)))
    assert len(Training(left_over, norms, 0)._steps(0)) == 5
