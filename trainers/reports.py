"""Reports of a training to its driver. Imports no torch, because the driver reads these."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from search_spaces.errors import RunError
from search_spaces.metric_names import LONGEST_NAME


class Position(NamedTuple):
    """Position of a training. The later one of two is the larger one.

    Attributes:
        epoch: Number of completed epochs; with a budget of steps, the step of the last report.
        step: Number of optimizer steps done after these.
    """

    epoch: int = 0
    step: int = 0


START = Position()


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of one set of weights for every example of one split, in the order of the split.

    Attributes:
        split: ``val`` or ``test``.
        weights: Name of the evaluated weights; ``raw`` are those after the last step.
        label: True class, int32, shape ``(n,)``.
        predicted: Class with the highest probability, int32, shape ``(n,)``.
        confidence: Probability of ``predicted``, float32, shape ``(n,)``.
        nll: Negative log-likelihood of ``label`` in nats, float32, shape ``(n,)``.
    """

    split: str
    weights: str
    label: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    nll: npt.NDArray[np.float32]


@dataclass(frozen=True)
class EpochReport:
    """Report of one epoch of one run or, with a budget of steps, of the steps since the last report.

    Attributes:
        epoch: Number of this epoch, from 1, or step; 0 is what a command reports before it, or if it counts from 0.
        metrics: Values by ``split/name``, such as ``val/accuracy``; without those that were not computed in this epoch.
        seconds: Wall time of this epoch including its evaluation.
        predictions: Predictions of the last epoch of a full budget; empty for other epochs.
        late: Whether it adds metrics to an epoch before the last one, as a command may.
        awaited: Whether the training waits until it is recorded: always at a rung, and otherwise if a command asks.

    Raises:
        RunError: The name of a metric is too long for the database.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    predictions: tuple[Predictions, ...] = field(default=())
    late: bool = False
    awaited: bool = False

    def __post_init__(self) -> None:
        longest = max(self.metrics, key=len, default="")
        if len(longest) > LONGEST_NAME:
            rule = f"a metric's name must have at most {LONGEST_NAME} characters"
            raise RunError(f"epoch {self.epoch}: {rule}, found {len(longest)}: {longest[:60]}...")

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Names of the metrics that are NaN or infinite."""
        return tuple(name for name, value in self.metrics.items() if not math.isfinite(value))

    @property
    def finite(self) -> bool:
        """Whether every metric is finite."""
        return not self.not_finite
