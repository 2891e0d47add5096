"""The data of a reliability diagram."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from analysis.calibration.binning import (
    BINS,
    REPEATS,
    BoolArray,
    FloatArray,
    IntArray,
    bins_equal_width,
    simulated_correct,
)

FEW = 10  # a bin with fewer examples is drawn hollow


@dataclass(frozen=True, eq=False)
class Reliability:
    """Non-empty bins of equal width, in order of confidence: arrays of shape `(bins,)` without NaN.

    Attributes:
        low: Lower edge of each bin.
        high: Upper edge of each bin.
        count: Number of examples in each bin, at least 1.
        confidence: Mean confidence of each bin, which is the position of its point.
        accuracy: Share of correct examples in each bin.
        wilson_low: Lower end of the Wilson 95 % interval of the accuracy.
        wilson_high: Upper end of the Wilson 95 % interval of the accuracy.
        consistent_low: 2.5 % quantile of the accuracy if the model were calibrated.
        consistent_high: 97.5 % quantile of the accuracy if the model were calibrated.
        hollow: Whether the bin has fewer than 10 examples.
    """

    low: FloatArray
    high: FloatArray
    count: IntArray
    confidence: FloatArray
    accuracy: FloatArray
    wilson_low: FloatArray
    wilson_high: FloatArray
    consistent_low: FloatArray
    consistent_high: FloatArray
    hollow: BoolArray

    @property
    def centre(self) -> FloatArray:
        """Middle of each bin, which is the position of its bar in the histogram."""
        return (self.low + self.high) / 2.0


def reliability(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    rng: np.random.Generator,
    bins: int = BINS,
    repeats: int = REPEATS,
) -> Reliability:
    """Return accuracy by confidence with its Wilson intervals and the consistency band of a calibrated model.

    The consistency band is that of Bröcker and Smith, "Increasing the reliability of reliability diagrams" (2007),
    given the observed confidences: for a calibrated model, one bin in twenty is outside.

    Args:
        confidence: Probability of the predicted class, `(n,)`, in `[0, 1]`.
        correct: Whether the predicted class is the true one, booleans, `(n,)`.
        rng: Generator for the simulated band.
        bins: Number of bins of equal width; empty bins are not returned.
        repeats: Number of simulations for the band.
    """
    all_bins = bins_equal_width(confidence, correct, bins)
    full = all_bins.count > 0
    count, accuracy = all_bins.count[full], all_bins.accuracy[full]
    successes = np.rint(accuracy * count).astype(np.intp)
    wilson = [
        binomtest(int(k), int(n)).proportion_ci(confidence_level=0.95, method="wilson")
        for k, n in zip(successes, count, strict=True)
    ]
    simulated = simulated_correct(confidence, all_bins, rng, repeats)[:, full] / count
    consistent_low, consistent_high = np.quantile(simulated, [0.025, 0.975], axis=0)
    return Reliability(
        low=all_bins.low[full],
        high=all_bins.high[full],
        count=count,
        confidence=all_bins.confidence[full],
        accuracy=accuracy,
        wilson_low=np.array([interval.low for interval in wilson]),
        wilson_high=np.array([interval.high for interval in wilson]),
        consistent_low=consistent_low,
        consistent_high=consistent_high,
        hollow=count < FEW,
    )
