import copy
import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn

from search_spaces.recipe.averaging import EMA, SWA
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.recipe.schedules import Constant
from search_spaces.seeds import derive_seed
from trainers.loop.training import Training
from trainers.seeding import seed_for, stream

BASE = Recipe(
    optimizer=SGD(lr=0.1, weight_decay=0.0), schedule=Constant(), budget=Budget(epochs=4, batch_size=10)
)  # 70 examples: 7 steps an epoch


def normed(self, recipe):
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def plain_steps(task, training, recipe, epochs, rate=lambda epoch: 0.1):
    """Run the same training, written with torch only; yield the model after every step."""
    model = copy.deepcopy(training.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    train = task.data(seed_for(task, derive_seed(0, "split"))).train
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate(epoch)
        for indices in torch.randperm(70, generator=stream(0, "order", epoch)).split(10):
            model.train()
            nn.functional.cross_entropy(model(train.inputs[indices]), train.targets[indices]).backward()
            optimizer.step()
            optimizer.zero_grad()
            yield epoch, model, train


def accuracy(model, split) -> float:
    model.eval()
    with torch.no_grad():
        return (model(split.inputs).argmax(1) == split.targets).double().mean().item()


def same(ours, theirs) -> None:
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_ema_equals_torch(blobs, monkeypatch, start):
    monkeypatch.setattr(type(blobs), "model", normed)
    recipe = BASE.model_copy(update={"averaging": EMA(decay=0.9, start=start)})
    training = Training(recipe, blobs, 0)
    oracle = None
    for step, (_, model, _) in enumerate(plain_steps(blobs, training, recipe, 4), start=1):
        if step <= math.ceil(start * 28) or oracle is None:
            oracle = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        oracle.update_parameters(model)
    reports = [training.run_epoch() for _ in range(4)]
    update_bn(training._data.train.inputs.split(10), oracle)
    same(training._average.model, oracle.module)
    data = blobs.data(seed_for(blobs, derive_seed(0, "split")))
    assert reports[-1].metrics["val/accuracy@ema"] == pytest.approx(accuracy(oracle.module, data.val))
    assert reports[-1].metrics["test/accuracy@ema"] == pytest.approx(accuracy(oracle.module, data.test))
    assert all("val/nll@ema" in report.metrics for report in reports)


def test_before_its_start_an_ema_is_the_raw_weights(blobs):
    training = Training(BASE.model_copy(update={"averaging": EMA(start=0.5)}), blobs, 0)
    first, second = training.run_epoch().metrics, training.run_epoch().metrics
    third = training.run_epoch().metrics
    assert first["val/nll@ema"] == first["val/nll"]
    assert second["val/nll@ema"] == second["val/nll"]
    assert third["val/nll@ema"] != third["val/nll"]


@pytest.mark.parametrize("rate", [None, 0.03])
def test_swa_equals_torch(blobs, monkeypatch, rate):
    monkeypatch.setattr(type(blobs), "model", normed)
    recipe = BASE.model_copy(update={"averaging": SWA(last=0.5, lr=rate)})
    training = Training(recipe, blobs, 0)
    later = swalr_rate(rate) if rate else 0.1
    oracle = None
    steps = plain_steps(blobs, training, recipe, 4, rate=lambda epoch: later if epoch >= 2 else 0.1)
    for step, (epoch, model, _) in enumerate(steps, start=1):
        if epoch >= 2 and step % 7 == 0:
            oracle = oracle or AveragedModel(model)
            oracle.update_parameters(model)
    update_bn(training._data.train.inputs.split(10), oracle)
    reports = [training.run_epoch() for _ in range(4)]
    same(training._average.model, oracle.module)
    assert reports[-1].metrics["train/lr"] == pytest.approx(later)
    assert ["val/nll@swa" in report.metrics for report in reports] == [False, False, True, True]


def swalr_rate(rate: float) -> float:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    SWALR(optimizer, rate, anneal_epochs=0)
    schedule = SWALR(optimizer, rate, anneal_epochs=0)
    optimizer.step()
    schedule.step()
    return optimizer.param_groups[0]["lr"]


def test_batch_norm_of_one_left_over_example_is_no_obstacle(blobs, monkeypatch):
    # 70 = 3 * 23 + 1
    monkeypatch.setattr(type(blobs), "model", normed)
    recipe = BASE.model_copy(update={"averaging": SWA(), "budget": Budget(epochs=1, batch_size=23, accumulation=1)})
    training = Training(recipe, blobs, 0)
    training._average.after_report(training.model, 1, training._steps_done, training._data.train)
    assert all(value.isfinite().all() for value in training._average.model.state_dict().values())


def test_the_raw_training_is_not_touched_and_both_predict(blobs):
    plain = Training(BASE, blobs, 0)
    averaged = Training(BASE.model_copy(update={"averaging": EMA(decay=0.9)}), blobs, 0)
    for _ in range(4):
        raw, both = plain.run_epoch(), averaged.run_epoch()
        assert all(both.metrics[name] == v for name, v in raw.metrics.items() if "second" not in name)
    assert {(part.split, part.weights) for part in both.predictions} == {
        *(("val", "raw"), ("val", "ema"), ("test", "raw"), ("test", "ema")),
        *(("test", "temperature"), ("test", "ema+temperature")),
    }
    by_name = {(part.split, part.weights): part for part in both.predictions}
    assert by_name["val", "ema"].nll.mean() == pytest.approx(both.metrics["val/nll@ema"], rel=1e-5)
