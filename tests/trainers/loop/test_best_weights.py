"""The averaging of kind `best`."""

import math

import pytest
import torch
from torch import nn

from search_spaces.recipe.averaging import Best
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Patience, Recipe
from search_spaces.recipe.schedules import Constant
from trainers.loop.training import Training
from trainers.loop.weight_averaging import Average

HOT = Recipe(
    optimizer=SGD(lr=1.0),  # the validation loss soon rises
    schedule=Constant(),
    averaging=Best(),
    budget=Budget(epochs=8, batch_size=16),
)


def normed(self, recipe):
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def untimed(report):
    return {name: value for name, value in report.metrics.items() if "second" not in name}


@pytest.mark.parametrize("normalized", [False, True])
def test_it_is_the_best_epoch_so_far_and_its_weights_are_kept(blobs, monkeypatch, normalized):
    if normalized:  # buffers are part of the best weights
        monkeypatch.setattr(type(blobs), "model", normed)
    training = Training(HOT, blobs, 0)
    losses, states, later = [], [], 0
    while not training.finished:
        report = training.run_epoch()
        losses.append(report.metrics["val/nll"])
        states.append({name: value.clone() for name, value in training.model.state_dict().items()})
        best = losses.index(min(losses))
        later += best < len(losses) - 1
        assert report.metrics["val/nll@best"] == losses[best]
        kept = training._average.model.state_dict()
        assert all(torch.equal(kept[name], value) for name, value in states[best].items())
    assert later  # or this has tested nothing
    assert ("test", "best") in {(part.split, part.weights) for part in report.predictions}


def test_it_reads_what_patience_would_have_restored(blobs):
    both = Training(HOT, blobs, 0)
    losses = []
    while not both.finished:
        report = both.run_epoch()
        losses.append(report.metrics["val/nll"])
    bad_epochs = len(losses) - 1 - losses.index(min(losses))
    patient = Training(HOT.model_copy(update={"patience": Patience(epochs=bad_epochs)}), blobs, 0)
    while not patient.finished:
        restored = patient.run_epoch()
    assert restored.epoch == report.epoch
    assert report.metrics["test/nll@best"] != report.metrics["test/nll"]
    for name in ("val/nll", "val/accuracy", "test/nll", "test/brier", "val/temperature"):
        assert restored.metrics[name] == report.metrics[f"{name}@best"] == restored.metrics[f"{name}@best"]


def test_the_raw_training_is_not_touched(blobs):
    with_it, without = (
        Training(HOT, blobs, 0),
        Training(HOT.model_copy(update={"averaging": Recipe().averaging}), blobs, 0),
    )
    for _ in range(8):
        best, plain = untimed(with_it.run_epoch()), untimed(without.run_epoch())
        assert {name: best[name] for name in plain} == plain


@pytest.mark.parametrize("done", range(1, 8))
def test_it_resumes_bit_by_bit_after_any_epoch(blobs, done):
    whole, first, second = (Training(HOT, blobs, 0) for _ in range(3))
    expected = [untimed(whole.run_epoch()) for _ in range(8)]
    for _ in range(done):
        first.run_epoch()
    second.load_state_dict(first.state_dict())
    assert [untimed(second.run_epoch()) for _ in range(8 - done)] == expected[done:]


def taken(losses: list[float]) -> float | None:
    """Return the kept weight of a model whose weight is the number of the epoch."""
    model = nn.Linear(1, 1)
    average = Average(HOT, model, 5)
    for epoch, loss in enumerate(losses):
        nn.init.constant_(model.weight, epoch)
        average.after_step(model, epoch)
        average.after_validation(model, loss)
    return average.model.weight.item() if average.model else None


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 1.0, 2.0], 1),
        ([3.0, 2.0, 1.0], 2),
        ([1.0, 1.0, 1.0], 0),
        ([math.nan, 5.0, math.nan], 1),
        ([5.0, math.inf, 4.0, math.nan], 2),
        ([math.nan, math.inf], None),
    ],
)
def test_which_epoch_is_the_best(losses, expected):
    assert taken(losses) == expected


def test_a_training_that_never_had_a_finite_loss_has_no_best_weights(blobs):
    wild = HOT.model_copy(update={"optimizer": SGD(lr=1e30, momentum=0.0, nesterov=False)})
    report = Training(wild, blobs, 0).run_epoch()
    assert not report.finite
    assert "val/nll@best" not in report.metrics
