"""Everything that a reliability diagram draws."""

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

FEW = 10  # examples below which a bin is drawn hollow


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bins of equal width that hold examples, in order of confidence: arrays of one shape `(bins,)`, without NaN.

    Attributes:
        low: Lower edge of each bin.
        high: Upper edge of each bin.
        count: Examples in each bin, at least 1.
        confidence: Mean confidence of each bin: where its point is drawn.
        accuracy: Share of each bin that is correct.
        wilson_low: Lower end of the Wilson 95 % interval of the accuracy.
        wilson_high: Upper end of it.
        consistent_low: 2.5 % quantile of the accuracy of the bin if the model were calibrated.
        consistent_high: 97.5 % quantile of it.
        hollow: Whether the bin holds fewer than 10 examples.
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
        """Middle of each bin: where its bar of the histogram is drawn."""
        return (self.low + self.high) / 2.0


def reliability(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    rng: np.random.Generator,
    bins: int = BINS,
    repeats: int = REPEATS,
) -> Reliability:
    """Return accuracy against confidence, what the sample says of each, and what a calibrated model would show.

    The consistency band is that of Bröcker and Smith, "Increasing the reliability of reliability diagrams" (2007),
    given the observed confidences: a calibrated model leaves it at one bin in twenty.

    Args:
        confidence: Probability of the predicted class, `(n,)`, in `[0, 1]`.
        correct: Whether the predicted class was the true one, booleans, `(n,)`.
        rng: Simulates the band.
        bins: Number of bins of equal width; those without examples are left out of the result.
        repeats: Simulations behind the band.
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
