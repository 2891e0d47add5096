"""Evaluate a model on a split for any task: the scores of a classifier, the task's own loss and its own metrics."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.metric_names import RAW, metric_name
from search_spaces.recipe.reported import LOSS
from trainers.evaluation.evaluate import MAX_BATCH, Evaluation, evaluation_batches, logits, per_example
from trainers.objective import Objective
from trainers.reports import Predictions
from trainers.task import Examples

OWN_BATCH = 256
"""Number of examples in a batch whose own loss is computed: outputs such as logits at every position are large."""


class SplitScores(NamedTuple):
    """Scores of one set of weights on one split.

    Attributes:
        evaluation: Predictions and scores of every example, if the task is a classifier.
        own: The task's own loss and metrics by name.
    """

    evaluation: Evaluation | None
    own: Mapping[str, float]

    @property
    def loss(self) -> float:
        """The task's own loss; without it, the mean NLL."""
        if LOSS in self.own or self.evaluation is None:
            return self.own[LOSS]
        return self.evaluation.nll.double().mean().item()

    def metrics(self, split: str, weights: str = RAW) -> dict[str, float]:
        """Return all metrics by name: ``split/metric@weights``."""
        known = self.evaluation.metrics(split, weights) if self.evaluation else {}
        return known | {metric_name(split, name, weights): value for name, value in self.own.items()}

    def predictions(self, split: str, weights: str = RAW) -> list[Predictions]:
        """Return the per-example values to store; only a classifier has any."""
        return [self.evaluation.predictions(split, weights)] if self.evaluation else []


def score_split(
    model: nn.Module,
    split: Examples,
    objective: Objective,
    precision: AbstractContextManager[object] | None = None,
    batch_size: int = MAX_BATCH,
) -> tuple[Tensor, SplitScores]:
    """Evaluate a model on a split.

    Args:
        model: Model with the weights.
        split: Examples on the model's device, or loaded to it.
        objective: Loss and metrics of the task.
        precision: Context of the forward pass; the loss is computed outside of it.
        batch_size: Number of examples per forward pass; at most 256 if the task has a loss of its own.

    Returns:
        The outputs ``(n, ...)``, and the scores. Outputs that nothing else needs are not kept; these are ``(0,)``.
    """
    outputs, loss = _run(model, split, objective, precision or nullcontext(), batch_size)
    return outputs, _scores(outputs, split.targets, objective, loss)


def score_outputs(outputs: Tensor, targets: Tensor, objective: Objective) -> SplitScores:
    """Score the outputs ``(n, ...)`` on a whole split against its targets ``(n, ...)``."""
    loss = None
    if objective.loss is not None:
        parts = zip(torch.split(outputs, OWN_BATCH), torch.split(targets, OWN_BATCH), strict=True)
        with torch.inference_mode():
            loss = sum(_summed(objective, _plain(part), of_part) for part, of_part in parts) / len(targets)
    return _scores(outputs, targets, objective, loss)


def _scores(outputs: Tensor, targets: Tensor, objective: Objective, loss: float | None) -> SplitScores:
    own: dict[str, float] = {} if loss is None else {LOSS: loss}
    with torch.inference_mode():
        own |= objective.own_metrics(_plain(outputs), targets)
    return SplitScores(None if objective.classes is None else per_example(outputs, targets), own)


def _run(
    model: nn.Module,
    split: Examples,
    objective: Objective,
    precision: AbstractContextManager[object],
    batch_size: int,
) -> tuple[Tensor, float | None]:
    """Return the outputs on a split, and the mean of the task's own loss if it has one."""
    if objective.loss is None:
        with precision:
            return logits(model, split, batch_size), None
    size = min(OWN_BATCH, batch_size)
    kept, total, count = [], 0.0, 0
    for batch in evaluation_batches(split, size):
        with precision:
            outputs = logits(model, batch, size)
        with torch.inference_mode():
            total += _summed(objective, _plain(outputs), batch.targets)
        count += len(batch)
        if objective.classes is not None or objective.metrics is not None:
            kept.append(outputs)
    return torch.cat(kept) if kept else torch.empty(0), total / count


def _summed(objective: Objective, outputs: Tensor, targets: Tensor) -> float:
    found = objective.own_loss(outputs, targets).double()
    return found.sum().item() if found.ndim else found.item() * len(targets)


def _plain(outputs: Tensor) -> Tensor:
    """Return outputs in fp32 if they are in a lower precision, as in training."""
    return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
