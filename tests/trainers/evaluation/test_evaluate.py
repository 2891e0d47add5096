import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchmetrics.functional.classification import multiclass_calibration_error

from trainers.evaluation.evaluate import (
    MAX_BATCH,
    evaluated_together,
    expected_calibration_error,
    logits,
    per_example,
)
from trainers.tasks import Split


def random_logits(n: int = 4000, classes: int = 5, scale: float = 2.0):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(n, classes, generator=generator) * scale, torch.randint(0, classes, (n,), generator=generator)


def ece(confidence: list[float], correct: list[bool]) -> float:
    return expected_calibration_error(torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct)).item()


def test_agrees_with_sklearn_and_torchmetrics():
    logits, targets = random_logits()
    metrics = per_example(logits, targets).metrics("val")
    probabilities = logits.double().softmax(1)
    assert metrics["val/nll"] == pytest.approx(log_loss(targets, probabilities), abs=1e-6)
    assert metrics["val/nll"] == pytest.approx(nn.functional.cross_entropy(logits, targets).item(), abs=1e-5)
    assert metrics["val/brier"] == pytest.approx(
        brier_score_loss(targets, probabilities, scale_by_half=False), abs=1e-6
    )
    assert metrics["val/accuracy"] == (logits.argmax(1) == targets).double().mean().item()
    theirs = multiclass_calibration_error(probabilities, targets, num_classes=5, n_bins=15, norm="l1").item()
    assert metrics["val/ece"] == pytest.approx(theirs, abs=1e-6)


def test_ece_edges_belong_to_the_bin_below():
    # 3/15 and just below share a bin, just above does not: with opposite outcomes only the split one shows a gap of 1.
    edge = 3 / 15
    assert ece([edge, np.nextafter(edge, 0)], [True, False]) == pytest.approx(abs(edge - 0.5))
    assert ece([edge, np.nextafter(edge, 1)], [True, False]) == pytest.approx((1 - edge + edge) / 2)


@pytest.mark.parametrize("k", range(1, 15))
def test_ece_every_inner_edge(k):
    edge = k / 15
    same_bin, other_bin = (k - 0.5) / 15, (k + 0.5) / 15
    assert ece([edge, same_bin], [True, False]) == pytest.approx(abs(edge + same_bin - 1) / 2)
    assert ece([edge, other_bin], [True, False]) == pytest.approx((abs(edge - 1) + other_bin) / 2)


def test_ece_ends_are_in_the_first_and_the_last_bin():
    assert ece([0.0, 0.05], [True, False]) == pytest.approx(abs(0.05 - 1) / 2)
    assert ece([1.0, 0.95], [True, False]) == pytest.approx(abs(1.95 - 1) / 2)
    assert ece([1.0], [True]) == 0.0
    assert ece([1.0], [False]) == 1.0


def test_predictions_repeat_the_metrics_to_the_last_digits():
    logits, targets = random_logits()
    evaluation = per_example(logits, targets)
    predictions, metrics = evaluation.predictions("test"), evaluation.metrics("test")
    assert (predictions.split, predictions.weights) == ("test", "raw")
    assert [a.dtype for a in (predictions.label, predictions.predicted)] == [np.int32, np.int32]
    assert [a.dtype for a in (predictions.confidence, predictions.nll)] == [np.float32, np.float32]
    assert metrics["test/nll"] == pytest.approx(predictions.nll.mean(dtype=np.float64), rel=1e-14)
    correct = predictions.label == predictions.predicted
    assert metrics["test/accuracy"] == correct.mean()
    again = expected_calibration_error(torch.from_numpy(predictions.confidence), torch.from_numpy(correct))
    assert metrics["test/ece"] == again.item()


def test_batches_are_invisible_and_the_mode_is_restored():
    n = 2 * MAX_BATCH + 5
    inputs = torch.randn(n, 4)
    split = Split(inputs, torch.zeros(n, dtype=torch.int64))
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 3))
    assert model.training
    found = logits(model, split)
    assert model.training
    assert not found.requires_grad
    model.eval()
    expected = model(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    logits(model, split)
    assert not model.training
    evaluation = per_example(found, split.targets)
    losses = nn.functional.cross_entropy(expected, split.targets, reduction="none")
    torch.testing.assert_close(evaluation.nll, losses, rtol=1e-5, atol=1e-6)
    assert evaluation.nll.shape == (n,)


def test_extreme_and_broken_logits():
    targets = torch.tensor([0, 1])
    sure = per_example(torch.tensor([[1e4, -1e4], [1e4, -1e4]]), targets).metrics("val")
    assert sure["val/nll"] == pytest.approx(1e4)
    assert sure["val/brier"] == pytest.approx(1.0)
    broken = per_example(torch.full((2, 2), torch.nan), targets).metrics("val")
    assert np.isnan(broken["val/nll"])
    assert np.isnan(broken["val/ece"])


def test_ece_of_a_gpu_is_computed_on_the_cpu(monkeypatch):
    """Test with tensors that only claim to be on a GPU, and have no values."""
    monkeypatch.setattr(torch, "bincount", lambda bins, weights, minlength: torch.zeros(minlength) * weights.sum())
    with FakeTensorMode():
        found = expected_calibration_error(torch.rand(9, device="cuda"), torch.ones(9, dtype=torch.bool, device="cuda"))
    assert found.device.type == "cuda"  # as the other scores


@pytest.mark.parametrize(("device", "batch_size", "expected"), [("cpu", 8, 2048), ("cuda", 8, 8), ("cuda", 9999, 2048)])
def test_a_gpu_evaluates_as_many_examples_at_once_as_it_trains(device, batch_size, expected):
    assert evaluated_together(batch_size, torch.device(device)) == expected


def test_the_scores_do_not_depend_on_how_many_are_evaluated_at_once():
    seen = []

    class Model(nn.Linear):
        def forward(self, inputs):
            seen.append(len(inputs))
            return super().forward(inputs)

    model, split = Model(4, 3), Split(torch.randn(10, 4), torch.zeros(10, dtype=torch.long))
    torch.testing.assert_close(logits(model, split, 4), logits(model, split))
    assert seen == [4, 4, 2, 10]
