"""BatchNorm statistics of evaluated weights, compared with torch's `update_bn`."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from search_spaces.recipe.averaging import EMA, SWA
from search_spaces.recipe.optimizers import SGD, Lookahead, ScheduleFreeAdamW
from search_spaces.recipe.recipe import Budget, Recipe, Signals, Switch
from search_spaces.recipe.schedules import Constant
from trainers.compute.batch_norm import recompute_statistics
from trainers.evaluation.evaluate import logits, per_example
from trainers.evaluation.pruning import pruned_copy
from trainers.loop.training import Training
from trainers.sanity.probe import Probe, probe_data
from trainers.task_lookup import load_task
from trainers.tasks import Data, Split

BASE = Recipe(optimizer=SGD(lr=0.1), schedule=Constant(), budget=Budget(epochs=3, batch_size=10))
SLOW_OR_AVERAGED = {
    "lookahead": {"lookahead": Lookahead(k=4)},
    "schedule_free": {"optimizer": ScheduleFreeAdamW(lr=0.02)},
    "switch_to": {"switch": Switch(at=0.5, to=ScheduleFreeAdamW(lr=0.02))},
    "switch_from": {"optimizer": ScheduleFreeAdamW(lr=0.02), "switch": Switch(at=0.98, to=SGD(lr=1e-6))},
}


def normed(self, recipe: Recipe) -> nn.Module:
    dropout = nn.Dropout(recipe.regularization.dropout)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), dropout, nn.Linear(8, 3))


def split(inputs: torch.Tensor) -> Split:
    """Return examples with these inputs."""
    return Split(inputs, torch.zeros(len(inputs), dtype=torch.int64))


@pytest.fixture
def norms(blobs, monkeypatch):
    monkeypatch.setattr(type(blobs), "model", normed)
    return blobs


def updated(model: nn.Module, data: Data, batch_size: int = 10) -> nn.Module:
    """Return a copy with the statistics of torch's `update_bn`."""
    model = copy.deepcopy(model)
    update_bn(list(data.train.inputs.split(batch_size)), model)
    return model


def same_buffers(ours: nn.Module, theirs: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))


def last(training: Training):
    while not training.finished:
        report = training.run_epoch()
    return report


@pytest.mark.parametrize("averaging", [EMA(decay=0.9), EMA(decay=0.9, start=0.2), SWA(last=1.0)], ids=repr)
def test_statistics_of_averaged_weights_are_those_of_torch(norms, averaging):
    training = Training(BASE.model_copy(update={"averaging": averaging}), norms, 0)
    while not training.finished:
        report = training.run_epoch()
        oracle = updated(training._average.model, training._data)
        assert same_buffers(training._average.model, oracle)
        expected = per_example(logits(oracle, training._data.val), training._data.val.targets)
        assert expected.metrics("val", averaging.kind).items() <= report.metrics.items()
    assert not same_buffers(training._average.model, training.model)


@pytest.mark.parametrize("changes", SLOW_OR_AVERAGED.values(), ids=SLOW_OR_AVERAGED)
def test_statistics_of_slow_weights_and_of_a_schedule_free_average_are_those_of_torch(norms, changes):
    training = Training(BASE.model_copy(update=changes), norms, 0)
    last(training)
    assert same_buffers(training.model, updated(training.model, training._data))


def test_statistics_of_trained_weights_are_those_of_their_steps(norms):
    training = Training(BASE, norms, 0)
    last(training)
    assert not same_buffers(training.model, updated(training.model, training._data))


def test_statistics_of_pruned_copies_are_those_of_torch(norms):
    training = Training(BASE.model_copy(update={"signals": Signals(pruning=(0.5,))}), norms, 0)
    report = last(training)
    sparse = updated(pruned_copy(training.model, 0.5), training._data)
    expected = per_example(logits(sparse, training._data.test), training._data.test.targets).metrics("test", "pruned50")
    assert expected.items() <= report.metrics.items()


def test_a_probe_evaluates_as_a_training(norms):
    recipe = BASE.model_copy(update={"optimizer": ScheduleFreeAdamW(lr=0.02)})
    probe = Probe(recipe, norms, probe_data(recipe, norms, 0), 0)
    probe.train([0.02] * 7)
    probe.update_statistics()
    training = Training(recipe, norms, 0)
    training.run_epoch()
    assert same_buffers(probe.model, training.model)


def test_before_its_start_an_ema_has_the_statistics_of_the_raw_weights(norms):
    training = Training(BASE.model_copy(update={"averaging": EMA(start=0.5)}), norms, 0)
    metrics = training.run_epoch().metrics
    assert metrics["val/nll@ema"] == metrics["val/nll"]


def test_a_model_without_batch_norm_is_not_run(blobs):
    calls = []
    model = blobs.model(BASE)
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    recompute_statistics(model, split(torch.zeros(9, 6)), 3)
    assert calls == []


def test_mode_momentum_and_random_streams_are_restored(norms):
    model = norms.model(
        BASE.model_copy(update={"regularization": BASE.regularization.model_copy(update={"dropout": 0.5})})
    )
    model.eval()
    before = torch.get_rng_state()
    recompute_statistics(model, split(torch.randn(20, 6, generator=torch.Generator().manual_seed(0))), 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert model[1].momentum == 0.1
    assert not any(module.training for module in model.modules())


def test_it_resumes_bit_by_bit(norms):
    recipe = BASE.model_copy(
        update={
            "optimizer": ScheduleFreeAdamW(lr=0.02),
            "averaging": EMA(decay=0.9),
            "regularization": BASE.regularization.model_copy(update={"dropout": 0.3}),
            "signals": Signals(pruning=(0.5,)),
        }
    )
    whole, first, second = (Training(recipe, norms, 3) for _ in range(3))
    expected = last(whole)
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    found = last(second)
    assert {k: v for k, v in found.metrics.items() if "second" not in k} == {
        k: v for k, v in expected.metrics.items() if "second" not in k
    }


def test_averaged_weights_of_a_cnn_are_not_worse_than_the_last_steps():
    """Compare test accuracies at a constant rate: +0.01 with statistics of their own, -0.11 with those of others."""
    recipe = BASE.model_copy(
        update={
            "budget": Budget(epochs=4, batch_size=32),
            "averaging": EMA(decay=0.99),
            "model": BASE.model.model_copy(update={"kind": "cnn", "norm": "batch"}),
        }
    )
    reports = [last(Training(recipe, load_task("digits"), seed)) for seed in range(4)]
    gains = [one.metrics["test/accuracy@ema"] - one.metrics["test/accuracy"] for one in reports]
    assert sum(gains) / len(gains) > -0.02


class EveryKind(nn.Module):
    """A model whose layers have statistics of all kinds, some of which training does not update."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.instances = nn.InstanceNorm1d(2, track_running_stats=True)
        self.without_momentum = nn.InstanceNorm1d(2, momentum=None, track_running_stats=True)
        self.constant = nn.BatchNorm1d(8, momentum=0.0)
        self.eval_only = nn.BatchNorm1d(8)
        self.unused = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)

    def train(self, mode: bool = True) -> "EveryKind":
        super().train(mode)
        self.eval_only.eval()
        return self

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        signals = self.first(inputs).reshape(-1, 2, 4)
        flat = self.without_momentum(self.instances(signals)).reshape(-1, 8)
        return self.last(self.eval_only(self.constant(flat)))


@pytest.fixture
def mixed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, inputs = EveryKind(), torch.randn(25, 6)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.fill_(0.25)
    return model, inputs


def test_statistics_of_instance_norm_are_the_means_over_all_batches(mixed):
    model, inputs = mixed
    with torch.no_grad():
        batches = [model.first(batch).reshape(-1, 2, 4) for batch in inputs.split(10)]
    recompute_statistics(model, split(inputs), batch_size=10)
    means = torch.stack([batch.mean(2).mean(0) for batch in batches]).mean(0)
    variances = torch.stack([batch.var(2).mean(0) for batch in batches]).mean(0)
    torch.testing.assert_close(model.instances.running_mean, means)
    torch.testing.assert_close(model.instances.running_var, variances)
    assert model.instances.momentum == 0.1
    assert not model.instances._forward_pre_hooks


@pytest.mark.parametrize("layer", ["without_momentum", "constant", "eval_only", "unused"])
def test_layers_that_training_does_not_update_keep_their_statistics(mixed, layer):
    model, inputs = mixed
    recompute_statistics(model, split(inputs), batch_size=10)
    kept = getattr(model, layer)
    assert kept.running_mean.tolist() == kept.running_var.tolist() == [0.25] * kept.num_features
