"""Is a classifier as sure as it is right? Calibration metrics of the predicted class, and how to read them.

The inputs, unless said otherwise: `confidence`, the probability of the predicted class, shape `(n,)`, in `[0, 1]`;
and `correct`, whether the predicted class was the true one, booleans, shape `(n,)`. Wrong shapes, no examples, and
values outside their range are a `ValueError`. The convention of the bins is that of `bins_equal_width`.

The plug-in ECE is biased upwards: where confidences are high, as Beta(8, 1), a perfectly calibrated model scores about
0.020 at n = 1000 and 0.007 at n = 10,000, and two models differ by less than they should. So compare models by
likelihood, Brier score and `debiased_squared_error`; show `ece` as a description, beside its `null_band`.
"""

from __future__ import annotations

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
    """ECE of a calibrated model with these confidences: it would score `mean`, and 95 % of the time below `upper95`."""

    mean: float
    upper95: float


class RiskCoverage(NamedTuple):
    """Risk when only the most confident examples are answered: two arrays of shape `(n,)`, from 1/n to all."""

    coverage: FloatArray
    risk: FloatArray


class Decomposition(NamedTuple):
    """What of an NLL one temperature would repair, and what it would not; in nats, they add up to the NLL."""

    calibration: float
    refinement: float


@dataclass(frozen=True)
class Calibration:
    """One model on one split.

    Attributes:
        n: Number of examples.
        accuracy: Share of correct predictions.
        nll: Mean negative log-likelihood, in nats; infinite if a true class was given probability zero.
        brier: Mean Brier score, in `[0, 2]`; None if it was not recorded.
        ece: Expected calibration error in 15 bins of equal width.
        ece_mass: The same in 15 bins of equal mass.
        mce: Largest gap of a bin of equal width with at least 30 examples; None if no bin has so many.
        gap: Mean confidence - accuracy: positive is overconfident.
        debiased: Debiased squared calibration error, in bins of equal width; may be negative; None if no bin holds
            two examples.
        null: What `ece` would be if the model were calibrated.
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
        bins: The examples by their confidence.
        at_least: Bins with fewer examples are left out: the largest of noisy gaps measures the noise.

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

    The squared gap of a calibrated bin is on average the variance of its accuracy. Per bin, weighted by `n_b / n`:
    `(confidence - accuracy)^2 - accuracy (1 - accuracy) / (n_b - 1)` (Ferro and Fricker, "A bias-corrected
    decomposition of the Brier score", 2012; Kumar et al., "Verified Uncertainty Calibration", 2019). A negative value
    is an estimate near zero; cutting it off there would bias every mean and difference. What remains is the variance
    of the confidences within a bin over `n_b - 1`, downwards: at most `(width / 2)^2 / (n_b - 1)`.

    Returns:
        The estimate; None if no bin holds two examples, below which a bin says nothing of its variance.
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
    reliability diagrams", 2007). It is a statement on the null hypothesis, not an interval for the ECE.
    """
    probability = np.asarray(confidence, dtype=np.float64)
    filled = bins_equal_width(probability, np.zeros(probability.shape, dtype=np.bool_), bins)
    expected = filled.count * np.where(filled.count > 0, filled.confidence, 0.0)
    errors = np.abs(simulated_correct(probability, filled, rng, repeats) - expected).sum(axis=1) / len(probability)
    return NullBand(float(errors.mean()), float(np.quantile(errors, 0.95)))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """Return the error rate among the k most confident examples, for k from 1 to n.

    Examples of equal confidence come in no order: the risk within a tie is its expectation over all their orders, so
    the result does not depend on the order of the input.
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

    0 if everything is correct, 1 if everything is wrong. It measures whether errors have the lowest confidence, and
    the accuracy itself (Geifman et al., "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", 2019).
    """
    return float(risk_coverage(confidence, correct).risk.mean())


def decompose(nll: float, nll_after_temperature: float) -> Decomposition:
    """Split a mean NLL into what temperature scaling repairs and what remains, in nats.

    Args:
        nll: Before.
        nll_after_temperature: After, on the same examples, with a temperature that was fitted on others. So the
            calibration part may be slightly negative.
    """
    if not (math.isfinite(nll) and math.isfinite(nll_after_temperature)):
        raise ValueError(f"both NLLs must be finite: got {nll} and {nll_after_temperature}")
    return Decomposition(float(nll - nll_after_temperature), float(nll_after_temperature))


def summarize_calibration(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    nll: npt.ArrayLike,
    rng: np.random.Generator,
    brier: npt.ArrayLike | None = None,
) -> Calibration:
    """Return every number of this module for one model on one split.

    Args:
        confidence: Probability of the predicted class, `(n,)`.
        correct: Whether the predicted class was the true one, `(n,)`.
        nll: Negative log-likelihood of each true class, in nats, `(n,)`.
        rng: For the null band.
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
        raise ValueError(f"{name} must have shape ({n},), as confidence has: got {array.shape}")
    wrong = np.flatnonzero(~(array >= 0.0))
    if len(wrong):
        raise ValueError(f"{name} must not be negative or NaN: got {array[wrong[0]]} at {wrong[0]}")
    return float(array.mean())
