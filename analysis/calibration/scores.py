"""What a classifier said of every class -> how well it said it, example by example."""

from __future__ import annotations

from typing import Literal, NamedTuple, assert_never, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from analysis.calibration.binning import FloatArray, IntArray

Kind = Literal["logits", "log_probabilities", "probabilities"]

SUM_TOLERANCE = 1e-4  # a thousand float32 probabilities add up to 1 within 1e-5


class Scores(NamedTuple):
    """Four arrays of shape `(n,)`.

    Attributes:
        confidence: Probability of the predicted class, in `[0, 1]`.
        predicted: Most probable class; of equals the first.
        nll: Negative log-likelihood of the true class, in nats; infinite where it was given probability zero.
        brier: Squared distance of the probabilities from the one-hot truth, summed over the classes, in `[0, 2]`
            (Brier, "Verification of forecasts expressed in terms of probability", 1950).
    """

    confidence: FloatArray
    predicted: IntArray
    nll: FloatArray
    brier: FloatArray


def score(values: npt.ArrayLike, labels: npt.ArrayLike, kind: Kind) -> Scores:
    """Score the outputs of a classifier.

    Args:
        values: One row an example, one column a class, `(n, classes)`. A logit or log-probability of minus infinity is
            probability zero.
        labels: True classes, integers from 0, `(n,)`.
        kind: What `values` are. It is never guessed: a row of logits can look like any of the three.

    Raises:
        ValueError: Shapes or labels do not fit, or `values` are not of the kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}: got {kind!r}")
    values, labels = _table(values), np.asarray(labels)
    n, classes = values.shape
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of shape ({n},): got {labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be in 0..{classes - 1}: got {labels.min()}..{labels.max()}")
    probabilities, log_probabilities = _normalized(values, kind)
    rows = np.arange(n)
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[rows, predicted]
    nll = np.maximum(-log_probabilities[rows, labels], 0.0)  # not -0.0
    probabilities[rows, labels] -= 1.0
    return Scores(confidence, predicted, nll, np.square(probabilities).sum(axis=1))


def check_probabilities(probabilities: npt.ArrayLike) -> None:
    """Refuse what is no probability distribution over classes in every row of `(n, classes)`.

    Raises:
        ValueError: Something is not finite or negative, or a row's sum is off 1 by more than 1e-4. The message names
            the first such row.
    """
    table = _table(probabilities)
    largest = np.abs(table).max(axis=1)
    _refuse(~np.isfinite(largest), "be finite", largest)
    smallest = table.min(axis=1)
    _refuse(smallest < 0.0, "hold no negative probability (are these logits?)", smallest)
    total = table.sum(axis=1)
    _refuse(np.abs(total - 1.0) > SUM_TOLERANCE, "sum to 1 (are these logits?)", total)


def _normalized(values: FloatArray, kind: Kind) -> tuple[FloatArray, FloatArray]:
    """Probabilities and their logarithms. Sums that are off 1 within the tolerance are mended: none is above 1."""
    match kind:
        case "logits":
            largest = values.max(axis=1)  # NaN if one is
            _refuse(~np.isfinite(largest), "have a finite maximum, and no NaN", largest)
        case "log_probabilities":
            with np.errstate(over="ignore"):  # logits given as log-probabilities: refused as infinite
                check_probabilities(np.exp(values))
        case "probabilities":
            check_probabilities(values)
            probabilities = values / values.sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore"):  # log(0) is -inf, and means it
                return probabilities, np.log(probabilities)
        case _:
            assert_never(kind)
    log_probabilities = np.asarray(log_softmax(values, axis=1), dtype=np.float64)
    return np.exp(log_probabilities), log_probabilities


def _table(values: npt.ArrayLike) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ValueError(
            f"outputs must have shape (n, classes), with an example and two classes at least: got {table.shape}"
        )
    return table


def _refuse(wrong: npt.NDArray[np.bool_], law: str, evidence: FloatArray) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        first = rows[0]
        raise ValueError(f"every row must {law}: {len(rows)} of {len(wrong)} do not; row {first} has {evidence[first]}")
