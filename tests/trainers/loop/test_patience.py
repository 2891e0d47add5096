import math

import pytest
import torch
from torch import nn

from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Patience, Recipe
from search_spaces.recipe.schedules import Constant
from trainers.loop.patience import Stopper
from trainers.loop.training import Training

HOT = Recipe(
    optimizer=SGD(lr=1.0),  # the validation loss soon rises
    schedule=Constant(),
    patience=Patience(epochs=3),
    budget=Budget(epochs=60, batch_size=16),
)


def watched(patience: Patience, losses: list[float]) -> tuple[Stopper, nn.Linear]:
    stopper, model = Stopper(patience), nn.Linear(1, 1)
    for epoch, loss in enumerate(losses):
        nn.init.constant_(model.weight, epoch)
        stopper.watch(loss, model)
    return stopper, model


@pytest.mark.parametrize(
    ("patience", "losses", "exhausted"),
    [
        (Patience(), [1.0] * 99, False),
        (Patience(epochs=2), [3.0, 2.0, 2.0], False),
        (Patience(epochs=2), [3.0, 2.0, 2.0, 2.0], True),
        (Patience(epochs=2), [3.0, 2.0, 2.5, 1.9, 2.0], False),
        (Patience(epochs=2, min_delta=0.5), [3.0, 2.6, 2.51], True),
        (Patience(epochs=2, min_delta=0.5), [3.0, 2.6, 2.4], False),
        (Patience(epochs=2), [3.0, math.nan, math.nan], True),
    ],
)
def test_when_patience_is_at_an_end(patience, losses, exhausted):
    assert watched(patience, losses)[0].exhausted is exhausted


def test_the_best_weights_come_back():
    stopper, model = watched(Patience(epochs=9), [3.0, 1.0, 2.0])
    assert stopper.restore(model)
    assert model.weight.item() == 1.0
    stopper, model = watched(Patience(epochs=9), [3.0, 1.0])
    assert not stopper.restore(model)  # they are there already
    stopper, model = watched(Patience(epochs=9, restore_best=False), [1.0, 3.0])
    assert not stopper.restore(model)


def test_a_training_ends_before_its_budget_with_its_best_weights(blobs):
    training = Training(HOT, blobs, 0)
    reports = []
    while not training.finished:
        reports.append(training.run_epoch())
    losses = [report.metrics["val/nll"] for report in reports]
    assert 4 <= len(reports) < 60
    assert losses[-1] == min(losses[:-1])
    assert losses.index(min(losses)) == len(losses) - 4
    assert {part.split for part in reports[-1].predictions} == {"val", "test"}
    assert reports[-1].predictions[0].nll.mean() == pytest.approx(losses[-1], rel=1e-5)
    assert "test/nll" in reports[-1].metrics

    again = Training(HOT, blobs, 0)
    again.load_state_dict(training.state_dict())
    assert again.finished
    last = Training(HOT.model_copy(update={"patience": Patience(epochs=3, restore_best=False)}), blobs, 0)
    raw = [last.run_epoch().metrics["val/nll"] for _ in losses]
    assert raw[:-1] == losses[:-1]
    assert raw[-1] > losses[-1]
    assert last.finished


def test_it_resumes_in_the_middle_of_its_patience(blobs):
    whole = Training(HOT, blobs, 0)
    while not whole.finished:
        expected = whole.run_epoch()
    first = Training(HOT, blobs, 0)
    for _ in range(expected.epoch - 1):
        first.run_epoch()
    second = Training(HOT, blobs, 0)
    second.load_state_dict(first.state_dict())
    found = second.run_epoch()
    assert second.finished
    assert found.metrics["test/nll"] == expected.metrics["test/nll"]
    assert all(torch.equal(p, q) for p, q in zip(whole.model.parameters(), second.model.parameters(), strict=True))
