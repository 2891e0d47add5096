"""Evaluate the weights of a training after every epoch and once more at its end.

The end of a full training adds the metrics that evaluation arms compare: test split, temperature scaling, pruned copies
and perturbed inputs. The weights are not changed.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import metric_names
from search_spaces.metric_names import metric_name, with_temperature
from search_spaces.recipe.recipe import Recipe
from trainers.compute.batch_norm import recompute_statistics
from trainers.compute.precision import Arithmetic
from trainers.evaluation.evaluate import Evaluation, evaluation_batches, logits, per_example
from trainers.evaluation.fgsm import gradient_signs
from trainers.evaluation.pruning import pruned_copy
from trainers.evaluation.temperature import fit_temperature
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
        logits: Logits on ``val``, ``(n, classes)``.
        val: Scores of these logits.
    """

    weights: str
    model: nn.Module
    logits: Tensor
    val: Evaluation

    @property
    def loss(self) -> float:
        """Mean NLL on ``val``."""
        return self.val.nll.double().mean().item()


class Scorer:
    """Evaluator of the weights of one training.

    Args:
        recipe: Recipe of the training, whose ``signals`` select additional metrics.
        arithmetic: Precision of the training, which is also used for evaluation.
        data: Splits of the training.
    """

    def __init__(self, recipe: Recipe, arithmetic: Arithmetic, data: Data) -> None:
        self._signals = recipe.signals
        self._batch_size = recipe.budget.batch_size
        self._arithmetic = arithmetic
        self._data = data

    def score(self, weights: str, model: nn.Module) -> ScoredWeights:
        """Evaluate a model on ``val``."""
        values = self._logits(model, self._data.val)
        return ScoredWeights(weights, model, values, per_example(values, self._data.val.targets))

    def epoch_metrics(self, scored: Sequence[ScoredWeights]) -> dict[str, float]:
        """Return the metrics of an epoch; the raw weights come first."""
        metrics: dict[str, float] = {}
        for one in scored:
            metrics |= one.val.metrics("val", one.weights)
        if self._signals.train_rescored:
            train = self._data.train.evenly_spaced(self._data.val.examples)  # the same examples in every epoch
            metrics["train/nll_eval"] = self._evaluate(scored[0].model, train).metrics("train")["train/nll"]
        return metrics

    def final_metrics(self, scored: Sequence[ScoredWeights]) -> tuple[dict[str, float], tuple[Predictions, ...]]:
        """Return the additional metrics of the last epoch, and the predictions of every set of weights."""
        test = self._data.test.targets
        metrics: dict[str, float] = {}
        predictions: list[Predictions] = []
        for one in scored:
            values = self._logits(one.model, self._data.test)
            raw, name = per_example(values, test), with_temperature(one.weights)
            temperature, held_out = self._calibrate(one)
            calibrated = scaled(values, test, temperature)
            metrics |= raw.metrics("test", one.weights)
            metrics[metric_name("val", metric_names.TEMPERATURE, one.weights)] = temperature
            metrics |= held_out | calibrated.metrics("test", name)
            predictions.append(one.val.predictions("val", one.weights))
            predictions += [raw.predictions("test", one.weights), calibrated.predictions("test", name)]
        return metrics | self._pruned(scored[0].model) | self._attacked(scored[0].model), tuple(predictions)

    def _calibrate(self, scored: ScoredWeights) -> tuple[float, dict[str, float]]:
        """Fit a temperature on the even positions of ``val`` and score it on the odd positions."""
        targets = self._data.val.targets
        temperature = robust_temperature(scored.logits[::2], targets[::2])
        if len(targets) < 2:
            return temperature, {}
        held_out = scaled(scored.logits[1::2], targets[1::2], temperature)
        return temperature, held_out.metrics("val", with_temperature(scored.weights))

    def _pruned(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for fraction in self._signals.pruning:
            sparse = pruned_copy(model, fraction)
            with self._arithmetic.autocast():  # also of frozen parts, which are pruned as well
                recompute_statistics(sparse, self._data.train, self._batch_size)
            for name, split in self._held_out():
                metrics |= self._evaluate(sparse, split).metrics(name, metric_names.pruned(fraction))
        return metrics

    def _attacked(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if not self._signals.fgsm:
            return metrics
        for name, split in self._held_out():
            for epsilon, values in self._moved_logits(model, split).items():
                metrics |= per_example(values, split.targets).metrics(name, metric_names.fgsm(epsilon))
        return metrics

    def _moved_logits(self, model: nn.Module, split: Examples) -> dict[float, Tensor]:
        """Return the logits on a split whose inputs are perturbed, for each size of the perturbation."""
        found: dict[float, list[Tensor]] = {epsilon: [] for epsilon in self._signals.fgsm}
        for batch in evaluation_batches(split):
            signs = gradient_signs(model, batch)
            for epsilon, values in found.items():
                # Without autocast, like the gradient: rounding to bf16 would lose a small epsilon.
                values.append(logits(model, Split(batch.inputs + epsilon * signs, batch.targets)))
        return {epsilon: torch.cat(values) for epsilon, values in found.items()}

    def _held_out(self) -> Iterable[tuple[str, Examples]]:
        return ("val", self._data.val), ("test", self._data.test)

    def _logits(self, model: nn.Module, split: Examples) -> Tensor:
        with self._arithmetic.autocast():
            return logits(model, split)

    def _evaluate(self, model: nn.Module, split: Examples) -> Evaluation:
        return per_example(self._logits(model, split), split.targets)


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
