"""Calibration metrics of the predicted class.

Unless stated otherwise, the inputs are `confidence`, the probability of the predicted class, shape `(n,)`, in
`[0, 1]`; and `correct`, whether the predicted class is the true one, booleans of shape `(n,)`. Wrong shapes, missing
examples and values outside their range raise a `ValueError`. Bins follow the convention of `bins_equal_width`.

The plug-in ECE is biased upwards. With high confidences, such as Beta(8, 1), a perfectly calibrated model scores about
0.020 for n = 1000 and 0.007 for n = 10,000, and the difference between two models is underestimated. Compare models by
likelihood, Brier score and `debiased_squared_error`; show `ece` as a description, together with its `null_band`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.calibration.binning import (
    BINS,
    REPEATS,
    Bins,
    FloatArray,
    IntArray,
    bins_equal_mass,
    bins_equal_width,
    checked_predictions,
    simulated_correct,
)


class NullBand(NamedTuple):
    """Mean and 95 % quantile of the ECE of a calibrated model with these confidences."""

    mean: float
    upper95: float


class RiskCoverage(NamedTuple):
    """Risk on the most confident examples, for coverages from 1/n to 1: two arrays of shape `(n,)`."""

    coverage: FloatArray
    risk: FloatArray


class Decomposition(NamedTuple):
    """The parts of an NLL that a temperature would and would not remove; in nats, they sum to the NLL."""

    calibration: float
    refinement: float


@dataclass(frozen=True)
class Calibration:
    """Calibration metrics of one model on one split.

    Attributes:
        n: Number of examples.
        accuracy: Share of correct predictions.
        nll: Mean negative log-likelihood, in nats; infinite if a true class has probability zero.
        brier: Mean Brier score, in `[0, 2]`; None if it was not recorded.
        ece: Expected calibration error in 15 bins of equal width.
        ece_mass: Expected calibration error in 15 bins of equal mass.
        mce: Largest gap among bins of equal width with at least 30 examples; None if there is no such bin.
        gap: Mean confidence - accuracy: positive is overconfident.
        debiased: Debiased squared calibration error in bins of equal width, possibly negative; None if no bin has two
            examples.
        null: Distribution of `ece` if the model were calibrated.
        aurc: Area under the risk-coverage curve.
    """

    n: int
    accuracy: float
    nll: float
    brier: float | None
    ece: float
    ece_mass: float
    mce: float | None
    gap: float
    debiased: float | None
    null: NullBand
    aurc: float


def ece(bins: Bins) -> float:
    """Return the expected calibration error: `|confidence - accuracy|` of each bin, weighted by its share."""
    gap, count = _gaps(bins, at_least=1)
    return float((count * np.abs(gap)).sum() / bins.count.sum())


def mce(bins: Bins, at_least: int = 30) -> float | None:
    """Return the maximum calibration error: the largest `|confidence - accuracy|` (Naeini et al., 2015).

    Args:
        bins: Bins of examples.
        at_least: Minimum number of examples in a bin; the largest gap of small bins would measure noise.

    Returns:
        A number in `[0, 1]`, or None if no bin has `at_least` examples.
    """
    gap, _ = _gaps(bins, at_least=max(at_least, 1))
    return float(np.abs(gap).max()) if len(gap) else None


def mean_gap(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return mean confidence - accuracy: positive is overconfident, negative underconfident."""
    confidence, correct = checked_predictions(confidence, correct)
    return float(confidence.mean() - correct.mean())


def debiased_squared_error(bins: Bins) -> float | None:
    """Return the squared calibration error without the bias of finite bins, signed.

    The expected squared gap of a calibrated bin is the variance of its accuracy. Per bin, weighted by `n_b / n`:
    `(confidence - accuracy)^2 - accuracy (1 - accuracy) / (n_b - 1)` (Ferro and Fricker, "A bias-corrected
    decomposition of the Brier score", 2012; Kumar et al., "Verified Uncertainty Calibration", 2019). A negative value
    is an estimate near zero; clipping it would bias every mean and difference. The remaining bias is negative: the
    variance of the confidences within a bin divided by `n_b - 1`, at most `(width / 2)^2 / (n_b - 1)`.

    Returns:
        The estimate; None if no bin has two examples, which its variance requires.
    """
    gap, count = _gaps(bins, at_least=2)
    if not len(count):
        return None
    accuracy = bins.accuracy[bins.count >= 2]
    squared = gap**2 - accuracy * (1.0 - accuracy) / (count - 1)
    return float((count * squared).sum() / bins.count.sum())


def null_band(
    confidence: npt.ArrayLike, rng: np.random.Generator, repeats: int = REPEATS, bins: int = BINS
) -> NullBand:
    """Return the plug-in ECE (equal width) that a calibrated model with these confidences would score.

    Labels are simulated from the observed confidences (the idea of Bröcker and Smith, "Increasing the reliability of
    reliability diagrams", 2007). The band describes the null hypothesis; it is not an interval for the ECE.
    """
    probability = np.asarray(confidence, dtype=np.float64)
    filled = bins_equal_width(probability, np.zeros(probability.shape, dtype=np.bool_), bins)
    expected = filled.count * np.where(filled.count > 0, filled.confidence, 0.0)
    errors = np.abs(simulated_correct(probability, filled, rng, repeats) - expected).sum(axis=1) / len(probability)
    return NullBand(float(errors.mean()), float(np.quantile(errors, 0.95)))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """Return the error rate among the k most confident examples, for k from 1 to n.

    The risk within a tie is the expectation over all orders of the tied examples, so the result does not depend on the
    order of the input.
    """
    confidence, correct = checked_predictions(confidence, correct)
    order = np.argsort(-confidence, kind="stable")
    ranked, errors = confidence[order], np.cumsum(~correct[order])
    n = len(ranked)
    end_of_tie = np.append(np.flatnonzero(np.diff(ranked)) + 1, n)
    k = np.arange(1, n + 1)
    expected_errors = np.interp(k, np.append(0, end_of_tie), np.append(0, errors[end_of_tie - 1]))
    return RiskCoverage(k / n, expected_errors / k)


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return the area under the risk-coverage curve: the mean of its n risks.

    It is 0 if all predictions are correct and 1 if all are wrong. It measures accuracy, and whether errors have the
    lowest confidence (Geifman et al., "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", 2019).
    """
    return float(risk_coverage(confidence, correct).risk.mean())


def decompose(nll: float, nll_after_temperature: float) -> Decomposition:
    """Split a mean NLL into the part that temperature scaling removes and the rest, in nats.

    Args:
        nll: NLL before temperature scaling.
        nll_after_temperature: NLL after temperature scaling on the same examples. The temperature was fitted on other
            examples, so the calibration part may be slightly negative.
    """
    if not (math.isfinite(nll) and math.isfinite(nll_after_temperature)):
        raise ValueError(f"both NLLs must be finite, found {nll} and {nll_after_temperature}")
    return Decomposition(float(nll - nll_after_temperature), float(nll_after_temperature))


def summarize_calibration(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    nll: npt.ArrayLike,
    rng: np.random.Generator,
    brier: npt.ArrayLike | None = None,
) -> Calibration:
    """Return all metrics of this module for one model on one split.

    Args:
        confidence: Probability of the predicted class, `(n,)`.
        correct: Whether the predicted class is the true one, `(n,)`.
        nll: Negative log-likelihood of each true class, in nats, `(n,)`.
        rng: Random generator of the null band.
        brier: Brier score of each example, summed over the classes, `(n,)`.
    """
    confidence, correct = checked_predictions(confidence, correct)
    width = bins_equal_width(confidence, correct)
    return Calibration(
        n=len(confidence),
        accuracy=float(correct.mean()),
        nll=_mean("nll", nll, len(confidence)),
        brier=None if brier is None else _mean("brier", brier, len(confidence)),
        ece=ece(width),
        ece_mass=ece(bins_equal_mass(confidence, correct)),
        mce=mce(width),
        gap=mean_gap(confidence, correct),
        debiased=debiased_squared_error(width),
        null=null_band(confidence, rng),
        aurc=aurc(confidence, correct),
    )


def _gaps(bins: Bins, at_least: int) -> tuple[FloatArray, IntArray]:
    full = bins.count >= at_least
    return bins.confidence[full] - bins.accuracy[full], bins.count[full]


def _mean(name: str, values: npt.ArrayLike, n: int) -> float:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), as confidence has, found {array.shape}")
    wrong = np.flatnonzero(~(array >= 0.0))
    if len(wrong):
        raise ValueError(f"{name} must not be negative or NaN, found {array[wrong[0]]} at {wrong[0]}")
    return float(array.mean())
