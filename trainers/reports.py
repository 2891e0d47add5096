"""The words that a training and its driver share. Imports no torch: the driver reads these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from search_spaces.errors import RunError

LONGEST_NAME = 128  # characters of a metric's name, the split included


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one set of weights says of every example of one split, in the order of the split.

    Attributes:
        split: ``val`` or ``test``.
        weights: Which weights were evaluated; ``raw`` is the last step's.
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
    """One epoch of one run.

    Attributes:
        epoch: Epochs trained so far, counted from 1.
        metrics: ``split/name`` -> value, such as ``val/accuracy``.
        seconds: Wall time of this epoch, its evaluation included.
        predictions: Filled in by the last epoch of a full budget only.

    Raises:
        RunError: A metric's name is longer than any database would keep it.
    """

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    predictions: tuple[Predictions, ...] = field(default=())

    def __post_init__(self) -> None:
        longest = max(self.metrics, key=len, default="")
        if len(longest) > LONGEST_NAME:
            law = f"a metric's name has at most {LONGEST_NAME} characters"
            raise RunError(f"epoch {self.epoch}: {law}, found {len(longest)}: {longest[:60]}...")

    @property
    def finite(self) -> bool:
        """Whether every metric is a finite number; a run that reports anything else has diverged."""
        return all(math.isfinite(value) for value in self.metrics.values())
