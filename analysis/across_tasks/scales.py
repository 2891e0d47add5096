"""Scales on which effects on different tasks can be compared."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from analysis.ablation.evidence import Floats
from search_spaces import Metrics


class Scale(StrEnum):
    """A scale for the primary metric; the value is what is printed."""

    LOG = "log ratio"
    LOGIT = "logit difference"
    MARGINS = "multiples of the margin"
    AS_MEASURED = "difference"

    def transform(self, values: Floats, margin: float | None) -> Floats:
        """Return the values of the metric on this scale; a delta on it is the effect.

        Args:
            values: Values of the metric, of any shape.
            margin: Smallest difference that matters, in units of the metric.
        """
        match self:
            case Scale.LOG:
                return np.asarray(np.log(values), dtype=np.float64)
            case Scale.LOGIT:
                return np.asarray(np.log(values) - np.log1p(-values), dtype=np.float64)
            case Scale.MARGINS if margin is not None:
                return values / margin
            case _:
                return values


def scale_of(metrics: Metrics, values: Sequence[float]) -> tuple[Scale, str]:
    """Return the scale for the primary metric, and the reason.

    Args:
        metrics: Metrics of the ablation.
        values: All values of the primary metric, on every task.
    """
    name, known = metrics.primary.partition("/")[2], [value for value in values if np.isfinite(value)]
    if name == "accuracy" and all(0.0 < value < 1.0 for value in known):
        return Scale.LOGIT, "a point of accuracy near 1 is worth more than one near the middle"
    if name != "accuracy" and metrics.goal == "minimize" and all(value > 0.0 for value in known):
        return Scale.LOG, "the metric is a positive loss, whose size differs between tasks"
    if metrics.margin is not None:
        return Scale.MARGINS, "the metric has no scale of its own that suits every task, and the file has a margin"
    return Scale.AS_MEASURED, "the metric is assumed to mean the same on every task, since the file has no margin"
