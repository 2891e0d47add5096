"""Additional metrics of the last epoch: temperatures, and the names of all metrics."""

import math
from typing import get_args

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from search_spaces.metric_names import fgsm, metric_name, pruned, with_temperature
from search_spaces.recipe.averaging import EMA, SWA, Averaging, Best
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Recipe, Signals
from search_spaces.recipe.reported import epoch_metrics, final_metrics
from search_spaces.specs.space_parts import Metric
from sweeps.store.tables import Prediction
from trainers.evaluation.scorer import robust_temperature, scaled
from trainers.loop.training import Training
from trainers.tasks import Data

BASE = Recipe(optimizer=SGD(lr=0.1), budget=Budget(epochs=3, batch_size=16))


def last(training: Training):
    while not training.finished:
        report = training.run_epoch()
    return report


def fitted(logits, targets) -> float:
    return minimize_scalar(
        lambda t: cross_entropy(logits / t, targets).item(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-9},
    ).x


@pytest.mark.parametrize("averaging", [None, EMA(decay=0.9), SWA(last=1.0), Best()], ids=repr)
def test_temperatures_are_fitted_on_one_half_of_val_and_read_on_the_other(blobs, averaging):
    training = Training(BASE.model_copy(update={"averaging": averaging} if averaging else {}), blobs, 0)
    report = last(training)
    found = {(part.split, part.weights): part for part in report.predictions}
    models = {"raw": training.model} | ({averaging.kind: training._average.model} if averaging else {})
    val, test = training._data.val, training._data.test
    for weights, model in models.items():
        model.eval()
        with torch.no_grad():
            val_logits, test_logits = model(val.inputs).double(), model(test.inputs).double()
        temperature = fitted(val_logits[::2], val.targets[::2])
        end, name = ("" if weights == "raw" else f"@{weights}"), with_temperature(weights)
        assert report.metrics[f"val/temperature{end}"] == pytest.approx(temperature, rel=1e-4)
        odd = cross_entropy(val_logits[1::2] / temperature, val.targets[1::2]).item()
        assert report.metrics[f"val/nll@{name}"] == pytest.approx(odd, rel=1e-5)
        whole = cross_entropy(test_logits / temperature, test.targets).item()
        assert report.metrics[f"test/nll@{name}"] == pytest.approx(whole, rel=1e-5)
        assert report.metrics[f"test/accuracy@{name}"] == report.metrics[f"test/accuracy{end}"]
        assert found["test", name].nll.mean() == pytest.approx(whole, rel=1e-5)
        assert (found["test", name].predicted == found["test", weights].predicted).all()
        assert ("val", name) not in found


def test_low_precision_is_scaled_in_high():
    neighbours = torch.arange(1, 2, 1 / 128).bfloat16()  # all that there are between 1 and 2
    logits = torch.stack([neighbours[:-1], neighbours[1:]], dim=1)
    assert ((logits / 3)[:, 0] == (logits / 3)[:, 1]).any()
    targets = torch.ones(len(logits), dtype=torch.int64)
    assert (scaled(logits, targets, 3.0).predicted == 1).all()


def with_val(blobs, monkeypatch, val) -> None:
    original = type(blobs).data
    monkeypatch.setattr(type(blobs), "data", lambda self, seed: val(original(self, seed)))


@pytest.mark.parametrize("n", [1, 2, 18])
def test_a_small_val_leaves_the_temperature_at_one(blobs, monkeypatch, n):
    with_val(blobs, monkeypatch, lambda data: Data(data.train, data.val.take(torch.arange(n)), data.test))
    report = last(Training(BASE, blobs, 0))
    assert report.finite
    assert report.metrics["val/temperature"] == 1.0
    assert report.metrics["test/nll@temperature"] == report.metrics["test/nll"]
    assert ("val/nll@temperature" in report.metrics) == (n > 1)


def test_nine_examples_are_too_few_and_ten_are_enough():
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(10) % 3
    assert robust_temperature(logits[:9], targets[:9]) == 1.0
    assert robust_temperature(logits, targets) == pytest.approx(fitted(logits.double(), targets), rel=1e-4)


def test_one_class_alone_leaves_the_temperature_at_one():
    assert robust_temperature(torch.randn(50, 3), torch.ones(50, dtype=torch.int64)) == 1.0


def test_a_class_that_a_model_rules_out_is_no_divergence():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(50, 3, generator=generator), torch.randint(0, 3, (50,), generator=generator)
    ruled_out = torch.cat([logits, torch.full((50, 1), -torch.inf)], dim=1)
    assert robust_temperature(ruled_out, targets) == pytest.approx(robust_temperature(logits, targets), rel=1e-9)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_model_that_has_diverged_has_no_temperature(broken):
    assert math.isnan(robust_temperature(torch.full((20, 3), broken), torch.arange(20) % 3))


def test_names_fit_their_column_and_their_pattern():
    kinds = [part.model_fields["kind"].default for part in get_args(get_args(Averaging)[0])]
    names = [with_temperature("raw" if kind == "none" else kind) for kind in kinds]
    assert sorted(names) == ["best+temperature", "ema+temperature", "swa+temperature", "temperature"]
    assert max(map(len, names)) <= Prediction.__table__.c.weights.type.length
    percents = [pruned(0.5), pruned(0.07), pruned(0.125)]
    assert percents == ["pruned50", "pruned7", "pruned12.5"]
    epsilons = [fgsm(0.1), fgsm(1), fgsm(1e-5), fgsm(1e7)]
    assert epsilons == ["fgsm0.1", "fgsm1", "fgsm1e-05", "fgsm1e+07"]
    for weights in (*names, *percents, *epsilons):
        name = metric_name("val", "nll", weights)
        assert Metric(name=name, goal="minimize").name == name


def test_all_weights_are_reported_at_the_end_and_only_there(blobs):
    signals = Signals(pruning=(0.5,), fgsm=(0.1, 0.2))
    training = Training(BASE.model_copy(update={"signals": signals, "averaging": Best()}), blobs, 0)
    first = training.run_epoch()
    assert {name.partition("@")[2] for name in first.metrics} == {"", "best"}
    report = last(training)
    everywhere = {"", "best", "temperature", "best+temperature", "pruned50", "fgsm0.1", "fgsm0.2"}
    for split in ("val", "test"):
        for score in ("nll", "accuracy", "brier", "ece"):
            found = {name.partition("@")[2] for name in report.metrics if name.partition("@")[0] == f"{split}/{score}"}
            assert found == everywhere


def test_what_is_added_leaves_the_rest_alone(blobs):
    plain = last(Training(BASE, blobs, 0))
    more = last(Training(BASE.model_copy(update={"signals": Signals(pruning=(0.5,), fgsm=(0.1,))}), blobs, 0))
    assert all(more.metrics[name] == value for name, value in plain.metrics.items() if "second" not in name)


def test_val_and_test_are_each_run_once(blobs, monkeypatch):
    """Fit temperatures to existing logits."""
    passes = []
    training = Training(BASE, blobs, 0)
    training.run_epoch()
    training.run_epoch()
    training.model.register_forward_pre_hook(lambda model, inputs: passes.append((model.training, len(inputs[0]))))
    training.run_epoch()
    assert [size for trains, size in passes if not trains] == [30, 30]


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("averaging", [None, EMA(), EMA(start=0.9), SWA(), SWA(last=1.0), Best()], ids=repr)
def test_metrics_that_are_known_before_a_training(blobs, averaging, epochs):
    recipe = BASE.model_copy(
        update={"budget": Budget(epochs=epochs, batch_size=16), "signals": Signals(pruning=(0.5,))}
    )
    recipe = recipe.model_copy(update={"averaging": averaging} if averaging else {})
    training = Training(recipe, blobs, 0)
    reports = [training.run_epoch() for _ in range(epochs)]
    on_val = [{name for name in report.metrics if name.startswith("val/")} for report in reports]
    assert set(epoch_metrics(recipe)) == set.intersection(*on_val)
    assert set(final_metrics(recipe)) == {name for name in reports[-1].metrics if not name.startswith("train/")}
