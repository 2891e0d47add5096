"""Temperature scaling: divide the logits by one number to calibrate a classifier without changing its predictions.

Imports no torch, because analysis fits temperatures too.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float:
    """Return the temperature T in ``[0.05, 20]`` for which ``softmax(logits / T)`` has the lowest mean NLL.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        logits: Finite logits of at least one example and two classes, ``(n, classes)``.
        labels: True classes, integers in ``0 .. classes - 1``, ``(n,)``.

    Returns:
        T; a bound of its range if the optimum is at or beyond it, as for logits that classify every example correctly;
        1.0 if every T is equally good.

    Raises:
        ValueError: A shape is wrong, a label is out of range, or a logit is not finite.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    _check(logits, labels)
    gaps = logits.astype(np.float64)
    gaps -= gaps.max(axis=1, keepdims=True)
    true_gaps = gaps[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        # Derivative of the mean NLL with respect to 1/T. The NLL is convex in 1/T, so the only root is the minimum.
        weights = np.exp(inverse * gaps)
        expected = (weights * gaps).sum(axis=1) / weights.sum(axis=1)
        return float((expected - true_gaps).mean())

    low, high = 1.0 / HIGHEST, 1.0 / LOWEST
    at_low, at_high = slope(low), slope(high)
    if at_low == at_high == 0.0:
        return 1.0
    if at_low >= 0.0:
        return HIGHEST
    if at_high <= 0.0:
        return LOWEST
    return 1.0 / float(brentq(slope, low, high, xtol=1e-12, rtol=1e-12))


def _check(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise ValueError(f"logits must have shape (n, classes), n >= 1 and classes >= 2, found {logits.shape}")
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must have shape ({len(logits)},) like the logits, found {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, found {labels.dtype}")
    low, high, classes = labels.min(), labels.max(), logits.shape[1]
    if low < 0 or high >= classes:
        raise ValueError(f"labels must be 0 .. {classes - 1} for {classes} classes, found {low} .. {high}")
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite, found NaN or infinity")
