"""What a training reports of its weights: after every epoch, and once more at the end.

The end of a full training adds what evaluation arms compare: the test split, temperature scaling, pruned copies and
perturbed inputs. All of it is read off one set of weights that nothing here changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import metric_names
from search_spaces.metric_names import metric_name, with_temperature
from search_spaces.recipe.recipe import Signals
from trainers.compute.precision import Arithmetic
from trainers.evaluation.evaluate import Evaluation, logits, per_example
from trainers.evaluation.fgsm import gradient_signs
from trainers.evaluation.pruning import pruned_copy
from trainers.evaluation.temperature import fit_temperature
from trainers.reports import Predictions
from trainers.task import Data, Split

MIN_CALIBRATION = 10
# A logit of minus infinity rules a class out, and a temperature leaves it so; this one does the same, and is finite.
RULED_OUT = -1e30


class ScoredWeights(NamedTuple):
    """One set of weights after an epoch, and what it says of ``val``.

    Attributes:
        weights: What it is called: ``raw``, ``ema``.
        model: That has these weights.
        logits: On ``val``, ``(n, classes)``.
        val: The scores of these logits.
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
    """Scores the weights of one training.

    Args:
        signals: The recipe's: what is measured in addition.
        arithmetic: Of the training; weights are evaluated in the precision that they are trained in.
        data: Its splits.
    """

    def __init__(self, signals: Signals, arithmetic: Arithmetic, data: Data) -> None:
        self._signals = signals
        self._arithmetic = arithmetic
        self._data = data

    def read(self, weights: str, model: nn.Module) -> ScoredWeights:
        """Run a model over ``val``."""
        values = self._logits(model, self._data.val)
        return ScoredWeights(weights, model, values, per_example(values, self._data.val.targets))

    def epoch(self, scored: Sequence[ScoredWeights]) -> dict[str, float]:
        """Return the metrics of every epoch; the first reading is of the raw weights."""
        metrics: dict[str, float] = {}
        for reading in scored:
            metrics |= reading.val.metrics("val", reading.weights)
        if self._signals.train_rescored:
            metrics["train/nll_eval"] = self._evaluate(scored[0].model, self._rescored()).metrics("train")["train/nll"]
        return metrics

    def end(self, scored: Sequence[ScoredWeights]) -> tuple[dict[str, float], tuple[Predictions, ...]]:
        """Return the metrics that only the last epoch has, and what every set of weights predicts.

        Args:
            scored: As of ``epoch``.
        """
        test = self._data.test.targets
        metrics: dict[str, float] = {}
        predictions: list[Predictions] = []
        for reading in scored:
            values = self._logits(reading.model, self._data.test)
            raw, name = per_example(values, test), with_temperature(reading.weights)
            temperature, held_out = self._calibrate(reading)
            calibrated = scaled(values, test, temperature)
            metrics |= raw.metrics("test", reading.weights)
            metrics[metric_name("val", metric_names.TEMPERATURE, reading.weights)] = temperature
            metrics |= held_out | calibrated.metrics("test", name)
            predictions.append(reading.val.predictions("val", reading.weights))
            predictions += [raw.predictions("test", reading.weights), calibrated.predictions("test", name)]
        return metrics | self._pruned(scored[0].model) | self._attacked(scored[0].model), tuple(predictions)

    def _calibrate(self, reading: ScoredWeights) -> tuple[float, dict[str, float]]:
        """Fit a temperature on the even positions of ``val``, and score it on the odd ones."""
        targets = self._data.val.targets
        temperature = robust_temperature(reading.logits[::2], targets[::2])
        if len(targets) < 2:
            return temperature, {}
        held_out = scaled(reading.logits[1::2], targets[1::2], temperature)
        return temperature, held_out.metrics("val", with_temperature(reading.weights))

    def _pruned(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for fraction in self._signals.pruning:
            sparse = pruned_copy(model, fraction)
            for name, split in self._held_out():
                metrics |= self._evaluate(sparse, split).metrics(name, metric_names.pruned(fraction))
        return metrics

    def _attacked(self, model: nn.Module) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if not self._signals.fgsm:
            return metrics
        for name, split in self._held_out():
            signs = gradient_signs(model, split)
            for epsilon in self._signals.fgsm:
                # Without autocast, as its gradient: in bf16 a small epsilon would vanish in the rounding.
                moved = Split(split.inputs + epsilon * signs, split.targets)
                metrics |= per_example(logits(model, moved), split.targets).metrics(name, metric_names.fgsm(epsilon))
        return metrics

    def _held_out(self) -> Iterable[tuple[str, Split]]:
        return ("val", self._data.val), ("test", self._data.test)

    def _logits(self, model: nn.Module, split: Split) -> Tensor:
        with self._arithmetic.autocast():
            return logits(model, split)

    def _evaluate(self, model: nn.Module, split: Split) -> Evaluation:
        return per_example(self._logits(model, split), split.targets)

    def _rescored(self) -> Split:
        """Return examples of ``train``, evenly spaced: the same in every epoch, and no more than ``val`` has."""
        size = len(self._data.train)
        count = min(size, len(self._data.val))
        return self._data.train.take(torch.arange(count, device=self._data.train.targets.device) * size // count)


def robust_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature that fits some examples best.

    1, which changes nothing, when they cannot tell: fewer than 10 of them, or all of one class. NaN for logits that are
    no numbers, since a training that has diverged has no temperature.

    Args:
        logits: ``(n, classes)``.
        targets: True classes, ``(n,)``.
    """
    if len(targets) < MIN_CALIBRATION or bool((targets == targets[0]).all()):
        return 1.0
    values = logits.double().numpy(force=True)
    values = np.where(np.isneginf(values), RULED_OUT, values)
    return fit_temperature(values, targets.numpy(force=True)) if np.isfinite(values).all() else float("nan")


def scaled(logits: Tensor, targets: Tensor, temperature: float) -> Evaluation:
    """Score logits ``(n, classes)`` against true classes ``(n,)`` after a division by the temperature."""
    # In float64: a division in the precision of the logits could round two classes to a tie.
    return per_example(logits.double() / temperature, targets)
