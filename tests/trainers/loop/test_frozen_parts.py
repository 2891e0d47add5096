"""Modules of frozen parts: fixed BatchNorm statistics and no dropout."""

import copy

import pytest
import torch
from torch import nn

from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.optimizers import SGD, Lookahead, ParameterGroups
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.recipe.schedules import Constant
from trainers.loop.training import Training
from trainers.optim.layer_groups import training_mode
from trainers.sanity.probe import Probe, probe_data
from trainers.seeding import data_order


def recipe(*frozen: str, **parts) -> Recipe:
    base = {
        "optimizer": SGD(lr=0.1, weight_decay=0.0),
        "schedule": Constant(),
        "budget": Budget(epochs=2, batch_size=10),
        "regularization": Regularization(dropout=0.5),
        "groups": ParameterGroups(frozen=frozen),
    }
    return Recipe(**(base | parts))


def two_parts(self, recipe: Recipe) -> nn.Module:
    model = nn.Sequential()
    dropout = nn.Dropout(recipe.regularization.dropout)
    model.add_module("encoder", nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), dropout))
    model.add_module("neck", nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()))
    model.add_module("head", nn.Linear(8, 3))
    return model


@pytest.fixture
def parts(blobs, monkeypatch):
    monkeypatch.setattr(type(blobs), "model", two_parts)
    return blobs


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in after.items() if not torch.equal(before[name], value)}


def test_a_frozen_part_is_a_fixed_function(parts):
    """Compare with a plain loop that trains the rest behind the encoder in eval mode."""
    training = Training(recipe("encoder"), parts, 0)
    model = copy.deepcopy(training.model)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9, nesterov=True)
    model.train()
    model.encoder.eval()
    train = training._data.train
    for epoch in range(2):
        training.run_epoch()
        for batch in data_order(70, 0, epoch).split(10):
            nn.functional.cross_entropy(model(train.inputs[batch]), train.targets[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    after = training.model.state_dict()
    assert not any(name.startswith("encoder") for name in changed(before, after))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_only_modules_whose_parameters_are_all_frozen_are_fixed(parts):
    training = Training(recipe("encoder.1.weight", "encoder.1.bias", "neck.1.weight"), parts, 0)
    before = copy.deepcopy(training.model.state_dict())
    training.run_epoch()
    moved = changed(before, training.model.state_dict())
    assert not any(name.startswith("encoder.1.") for name in moved)
    assert {"neck.1.running_mean", "neck.1.bias", "encoder.0.weight"} <= moved
    assert "neck.1.weight" not in moved


@pytest.mark.parametrize("changes", [{"averaging": EMA(decay=0.9)}, {"lookahead": Lookahead(k=3)}], ids=str)
def test_recomputed_statistics_leave_frozen_parts_alone(parts, changes):
    training = Training(recipe("encoder", **changes), parts, 0)
    before = copy.deepcopy(training.model.state_dict())
    training.run_epoch()
    evaluated = training._average.model if training._average else training.model
    moved = changed(before, evaluated.state_dict())
    assert not any(name.startswith("encoder") for name in moved)
    assert "neck.1.running_mean" in moved


def test_a_probe_trains_as_a_training(parts):
    one = recipe("encoder")
    training, probe = Training(one, parts, 0), Probe(one, parts, probe_data(one, parts, 0), 0)
    training.run_epoch()
    probe.train([0.1] * 7)
    assert not changed(training.model.state_dict(), probe.model.state_dict())


def test_nothing_frozen_is_training_mode_throughout(parts):
    training = Training(recipe(), parts, 0)
    training.run_epoch()
    assert all(module.training for module in training.model.modules())


def test_a_frozen_token_does_not_freeze_the_model_that_owns_it():
    model = nn.Module()
    model.token = nn.Parameter(torch.zeros(3))
    model.head = nn.Linear(3, 3)
    training_mode(model, ("token",))
    assert model.training
    assert model.head.training


def test_a_layer_without_parameters_is_frozen_by_its_name(blobs, monkeypatch):
    def model(self, recipe: Recipe) -> nn.Module:
        layers = [nn.Linear(6, 8), nn.BatchNorm1d(8, affine=False), nn.Dropout(0.5), nn.Linear(8, 3)]
        return nn.Sequential(*layers)

    monkeypatch.setattr(type(blobs), "model", model)
    training = Training(recipe("1", "2"), blobs, 0)
    before = copy.deepcopy(training.model.state_dict())
    training.run_epoch()
    assert changed(before, training.model.state_dict()) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    training_mode(training.model, ["1", "2"])
    assert [layer.training for layer in training.model] == [True, False, False, True]
