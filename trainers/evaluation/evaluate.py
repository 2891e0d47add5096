"""Evaluate a model on a split: accuracy, likelihood, calibration and the prediction for every example.

Per-example values are rounded to the float32 that ``Predictions`` stores and reduced in float64. So a metric that is
computed again from stored predictions agrees with the one reported here.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.metric_names import RAW, SCORES, metric_name
from trainers.reports import Predictions
from trainers.task import Examples, Split

MAX_BATCH = 2048
ECE_BINS = 15


class Evaluation(NamedTuple):
    """Predictions and scores of every example of a split, in its order: five tensors of shape ``(n,)``."""

    label: Tensor
    predicted: Tensor
    confidence: Tensor
    nll: Tensor
    brier: Tensor

    def metrics(self, split: str, weights: str = RAW) -> dict[str, float]:
        """Return the means over the examples: ``split/nll``, ``/accuracy``, ``/brier`` and ``/ece``.

        Args:
            split: First part of the metric names.
            weights: Name of the evaluated weights; names other than ``raw`` are appended: ``val/nll@ema``.
        """
        correct = self.predicted == self.label
        names = [metric_name(split, name, weights) for name in SCORES]
        values = torch.stack(
            [
                self.nll.double().mean(),
                correct.double().mean(),
                self.brier.double().mean(),
                expected_calibration_error(self.confidence, correct),
            ]
        )
        return dict(zip(names, values.tolist(), strict=True))

    def predictions(self, split: str, weights: str = RAW) -> Predictions:
        """Return the per-example values to store."""
        return Predictions(
            split=split,
            weights=weights,
            label=self.label.int().numpy(force=True),
            predicted=self.predicted.int().numpy(force=True),
            confidence=self.confidence.numpy(force=True),
            nll=self.nll.numpy(force=True),
        )


def evaluated_together(batch_size: int, device: torch.device) -> int:
    """Return how many examples to evaluate at once.

    On a GPU as many as a micro-batch of the training has, whose memory is known to suffice; a CPU takes more, which is
    faster.

    Args:
        batch_size: ``budget.batch_size`` of the recipe.
        device: Device of the model.
    """
    return MAX_BATCH if device.type == "cpu" else min(MAX_BATCH, batch_size)


def evaluation_batches(split: Examples, batch_size: int = MAX_BATCH) -> Iterator[Split]:
    """Return the batches of an evaluation of a split, in its order."""
    return split.in_order(min(batch_size, split.evaluation_batch))


def logits(model: nn.Module, split: Examples, batch_size: int = MAX_BATCH) -> Tensor:
    """Run a classifier on a split in eval mode and restore its mode.

    Args:
        model: Model that maps inputs ``(n, ...)`` to logits ``(n, classes)``.
        split: Examples, on the model's device or loaded to it.
        batch_size: Largest number of examples per forward pass.

    Returns:
        Logits ``(n, classes)`` in the type that the model returns.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return torch.cat([model(batch.inputs) for batch in evaluation_batches(split, batch_size)])
    finally:
        model.train(was_training)


def per_example(logits: Tensor, targets: Tensor) -> Evaluation:
    """Score logits ``(n, classes)`` against true classes ``(n,)``.

    The Brier score of an example is the sum over the classes of the squared difference between its probabilities and
    the one-hot target, in ``[0, 2]`` (Brier, 1950).
    """
    # In batches, so that at most one batch is in memory as float64.
    batches = zip(torch.split(logits, MAX_BATCH), torch.split(targets, MAX_BATCH), strict=True)
    parts = [_score(*batch) for batch in batches]
    return Evaluation(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _score(logits: Tensor, targets: Tensor) -> Evaluation:
    log_probabilities = logits.double().log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    confidence, predicted = probabilities.max(dim=1)
    true_class = targets.unsqueeze(1)
    p_true = probabilities.gather(1, true_class).squeeze(1)
    brier = probabilities.square().sum(dim=1) - 2.0 * p_true + 1.0
    nll = -log_probabilities.gather(1, true_class).squeeze(1)
    return Evaluation(targets, predicted, confidence.float(), nll.float(), brier.float())


def expected_calibration_error(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the top-label ECE (Guo et al., "On Calibration of Modern Neural Networks", 2017).

    Libraries use different conventions. Here there are 15 bins of equal width, ``(low, high]``, with 0 in the first.

    Args:
        confidence: Probability of the predicted class, ``(n,)``.
        correct: Whether the predicted class is the true one, ``(n,)``.

    Returns:
        A float64 scalar in ``[0, 1]``: the mean of ``|confidence - accuracy|`` over the bins, weighted by their shares.
    """
    # On the CPU: on CUDA, a weighted bincount adds in a random order, and raises an error if kernels are deterministic.
    device = confidence.device
    confidence, correct = confidence.cpu().double(), correct.cpu().double()
    edges = torch.arange(1, ECE_BINS, dtype=torch.float64) / ECE_BINS
    bins = torch.bucketize(confidence, edges, right=False)
    gap = torch.bincount(bins, weights=confidence - correct, minlength=ECE_BINS)
    return (gap.abs().sum() / len(confidence)).to(device)
