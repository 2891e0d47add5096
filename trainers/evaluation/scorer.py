"""Evaluate the weights of a training after every epoch and once more at its end.

The end of a full training adds the metrics that evaluation arms compare: test split, temperature scaling, pruned copies
and perturbed inputs, as far as they mean something for the task. The weights are not changed.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import metric_names
from search_spaces.metric_names import metric_name, with_temperature
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import LOSS
from trainers.compute.batch_norm import recompute_statistics
from trainers.compute.precision import Arithmetic
from trainers.evaluation.evaluate import Evaluation, evaluated_together, evaluation_batches, logits, per_example
from trainers.evaluation.fgsm import gradient_signs
from trainers.evaluation.pruning import pruned_copy
from trainers.evaluation.split_scores import SplitScores, score_outputs, score_split
from trainers.evaluation.temperature import fit_temperature
from trainers.objective import Objective
from trainers.reports import Predictions
from trainers.task import Data, Examples, Split

MIN_CALIBRATION = 10
# Finite replacement for a logit of minus infinity, which excludes a class at every temperature.
RULED_OUT = -1e30


class ScoredWeights(NamedTuple):
    """One set of weights after an epoch, evaluated on ``val``.

    Attributes:
        weights: Name of the weights: ``raw``, ``ema``.
        model: Model with these weights.
        outputs: Outputs on ``val``, ``(n, ...)``.
        val: Scores of these outputs.
    """

    weights: str
    model: nn.Module
    outputs: Tensor
    val: SplitScores

    @property
    def loss(self) -> float:
        """The task's own loss on ``val``; without it, the mean NLL."""
        return self.val.loss


class Scorer:
    """Evaluator of the weights of one training.

    Args:
        recipe: Recipe of the training, whose ``signals`` select additional metrics.
        arithmetic: Precision of the training, which evaluates in it; instead of fp16, in fp32.
        data: Splits of the training.
        objective: Loss and metrics of the task.
    """

    def __init__(self, recipe: Recipe, arithmetic: Arithmetic, data: Data, objective: Objective) -> None:
        self._signals = recipe.signals
        self._batch_size = recipe.budget.batch_size
        self._arithmetic = arithmetic
        self._data = data
        self._objective = objective
        self._at_once = evaluated_together(self._batch_size, data.val.device)

    def score(self, weights: str, model: nn.Module) -> ScoredWeights:
        """Evaluate a model on ``val``."""
        return ScoredWeights(weights, model, *self._evaluate(model, self._data.val))

    def epoch_metrics(self, scored: Sequence[ScoredWeights]) -> dict[str, float]:
        """Return the metrics of an epoch; the raw weights come first."""
        metrics: dict[str, float] = {}
        for one in scored:
            metrics |= one.val.metrics("val", one.weights)
        if self._signals.train_rescored:
            train = self._data.train.evenly_spaced(self._data.val.examples)  # the same examples in every epoch
            name = "nll" if self._objective.loss is None else LOSS
            metrics[f"train/{name}_eval"] = self._evaluate(scored[0].model, train)[1].loss
        return metrics

    def final_metrics(self, scored: Sequence[ScoredWeights]) -> tuple[dict[str, float], tuple[Predictions, ...]]:
        """Return the additional metrics of the last epoch, and the predictions of every set of weights."""
        metrics: dict[str, float] = {}
        predictions: list[Predictions] = []
        for one in scored:
            temperature = self._temperature(one)
            metrics |= self._calibrated_val(one, temperature)
            predictions += one.val.predictions("val", one.weights)
            if self._data.test is not None:
                more, predicted = self._tested(one, self._data.test, temperature)
                metrics |= more
                predictions += predicted
        return metrics | self._pruned(scored[0].model) | self._attacked(scored[0].model), tuple(predictions)

    def _tested(
        self, scored: ScoredWeights, test: Examples, temperature: float
    ) -> tuple[dict[str, float], list[Predictions]]:
        """Return the metrics and predictions on ``test``; of a classifier, also with the temperature."""
        outputs, scores = self._evaluate(scored.model, test)
        metrics, predictions = scores.metrics("test", scored.weights), scores.predictions("test", scored.weights)
        if self._objective.classes is not None:
            calibrated, name = scaled(outputs, test.targets, temperature), with_temperature(scored.weights)
            metrics |= calibrated.metrics("test", name)
            predictions.append(calibrated.predictions("test", name))
        return metrics, predictions

    def _temperature(self, scored: ScoredWeights) -> float:
        """Return the temperature that fits the even positions of ``val``; NaN if the task is not a classifier."""
        if self._objective.classes is None:
            return math.nan
        return robust_temperature(scored.outputs[::2], self._data.val.targets[::2])

    def _calibrated_val(self, scored: ScoredWeights, temperature: float) -> dict[str, float]:
        """Return the temperature and its scores on the odd positions of ``val``; nothing without classes."""
        if self._objective.classes is None:
            return {}
        targets = self._data.val.targets
        metrics = {metric_name("val", metric_names.TEMPERATURE, scored.weights): temperature}
        if len(targets) < 2:
            return metrics
        held_out = scaled(scored.outputs[1::2], targets[1::2], temperature)
        return metrics | held_out.metrics("val", with_temperature(scored.weights))

    def _pruned(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for fraction in self._signals.pruning:
            sparse = pruned_copy(model, fraction)
            with self._arithmetic.evaluation():  # also of frozen parts, which are pruned as well
                recompute_statistics(sparse, self._data.train, self._batch_size)
            for name, split in self._held_out():
                metrics |= self._evaluate(sparse, split)[1].metrics(name, metric_names.pruned(fraction))
        return metrics

    def _attacked(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if not self._signals.fgsm:
            return metrics
        for name, split in self._held_out():
            for epsilon, outputs in self._moved_outputs(model, split).items():
                scores = score_outputs(outputs, split.targets, self._objective)
                metrics |= scores.metrics(name, metric_names.fgsm(epsilon))
        return metrics

    def _moved_outputs(self, model: nn.Module, split: Examples) -> dict[float, Tensor]:
        """Return the outputs on a split whose inputs are perturbed, for each size of the perturbation."""
        found: dict[float, list[Tensor]] = {epsilon: [] for epsilon in self._signals.fgsm}
        for batch in evaluation_batches(split, self._at_once):
            signs = gradient_signs(model, batch, self._at_once)
            for epsilon, outputs in found.items():
                # Without autocast, like the gradient: rounding to bf16 would lose a small epsilon.
                outputs.append(logits(model, Split(batch.inputs + epsilon * signs, batch.targets), self._at_once))
        return {epsilon: torch.cat(outputs) for epsilon, outputs in found.items()}

    def _held_out(self) -> Iterable[tuple[str, Examples]]:
        return ((name, split) for name, split in self._data.splits.items() if name != "train")

    def _evaluate(self, model: nn.Module, split: Examples) -> tuple[Tensor, SplitScores]:
        return score_split(model, split, self._objective, self._arithmetic.evaluation(), self._at_once)


def robust_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature that fits some examples best.

    Return 1, which has no effect, for fewer than 10 examples or a single class. Return NaN for logits that are NaN or
    infinite, since a diverged training has no temperature.

    Args:
        logits: Logits, ``(n, classes)``.
        targets: True classes, ``(n,)``.
    """
    if len(targets) < MIN_CALIBRATION or bool((targets == targets[0]).all()):
        return 1.0
    values = logits.double().numpy(force=True)
    values = np.where(np.isneginf(values), RULED_OUT, values)
    return fit_temperature(values, targets.numpy(force=True)) if np.isfinite(values).all() else float("nan")


def scaled(logits: Tensor, targets: Tensor, temperature: float) -> Evaluation:
    """Score logits ``(n, classes)``, divided by the temperature, against true classes ``(n,)``."""
    # In float64, since rounding in a lower precision could make two classes equal.
    return per_example(logits.double() / temperature, targets)
