"""Lazy layers have the values of torch's own initialisation and train like others."""

import pytest
import torch
from torch import nn

from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.recipe import Budget, Recipe
from trainers.lazy_layers import initialize_lazy_layers
from trainers.loop.training import Training
from trainers.sanity.probe import Probe, probe_data
from trainers.seeding import global_stream

RECIPE = Recipe(budget=Budget(epochs=2, batch_size=16), averaging=EMA(decay=0.9))


def lazy(self, recipe: Recipe) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.ReLU(), nn.Dropout(0.5), nn.LazyLinear(3))


@pytest.fixture
def task(blobs, monkeypatch):
    monkeypatch.setattr(type(blobs), "model", lazy)
    return blobs


def test_it_starts_with_torchs_values_and_resumes_bit_by_bit(task):
    with global_stream(5, "init"):
        expected = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    whole, first, second = (Training(RECIPE, task, 5) for _ in range(3))
    for name, value in expected.state_dict().items():
        assert torch.equal(whole.model.state_dict()[name], value), name
    assert whole.fingerprint == second.fingerprint
    whole.run_epoch()
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    assert whole.run_epoch().metrics["test/nll@ema"] == second.run_epoch().metrics["test/nll@ema"]


def test_a_probe_starts_there_too(task):
    training, probe = Training(RECIPE, task, 5), Probe(RECIPE, task, probe_data(RECIPE, task, 5), 5)
    state = training.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in probe.model.state_dict().items())


def test_a_model_without_lazy_layers_is_not_run(blobs):
    model = blobs.model(RECIPE)
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    initialize_lazy_layers(model, torch.zeros(4, 6))
    assert calls == []
