"""What one run recorded, epoch by epoch, and what is known about it besides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.smoothing import BoolArray, FloatArray, ema

HALF_LIFE = 0.01  # of all steps
VAL_EXAMPLES = 500  # where nobody says how many there are: of the order of the small tasks, so a wide standard error

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """One run, one record an epoch.

    Attributes:
        epochs: Epochs done at each record, rising, from 1, shape `(n,)`.
        series: What was recorded, by name, each of shape `(n,)`; NaN or infinite where the run reported that.
        budget: Epochs that the run was meant to have.
        state: `COMPLETE`, `STOPPED` (at a rung), `DIVERGED`, `FAILED`, or of an unfinished run anything else.
        metric: What the sweep selects on.
        maximize: Whether more of it is better.
        classes: Of the task; None if it is no classification.
        lr: Peak learning rate of the recipe.
        warmup: Epochs that the learning rate takes to its peak; a fraction of an epoch counts.
        clips: Whether the recipe clips gradients. Without it `train/clip_rate` is 0 and says nothing.
        steps_per_epoch: Optimizer steps, if known.
        val_examples: How many there are, if known.
        majority: Share of the most frequent class of the validation split, if known; else classes count as equal.
        initial_loss: Loss before the first step, if it was measured.
    """

    epochs: IntArray
    series: Mapping[str, FloatArray] = field(repr=False)
    budget: int
    state: str = "COMPLETE"
    metric: str = "val/nll"
    maximize: bool = False
    classes: int | None = None
    lr: float | None = None
    warmup: float = 0.0
    clips: bool = False
    steps_per_epoch: int | None = None
    val_examples: int | None = None
    majority: float | None = None
    initial_loss: float | None = None

    def __post_init__(self) -> None:
        if self.epochs.ndim != 1 or (np.diff(self.epochs) <= 0).any():
            raise ValueError(f"epochs must rise in one dimension: got {self.epochs.tolist()}")
        wrong = {name: values.shape for name, values in self.series.items() if values.shape != self.epochs.shape}
        if wrong:
            raise ValueError(f"every series must have shape {self.epochs.shape}: got {wrong}")

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def chance_loss(self) -> float | None:
        """Cross entropy of equal probabilities, ln K in nats; None without classes."""
        return math.log(self.classes) if self.classes is not None and self.classes > 1 else None

    @property
    def chance_accuracy(self) -> float | None:
        """Accuracy of the most frequent class alone."""
        if self.majority is not None or self.classes is None:
            return self.majority
        return 1.0 / self.classes

    @property
    def examples(self) -> int:
        """Of the validation split, or a guess at them."""
        return self.val_examples or VAL_EXAMPLES

    @property
    def cost(self) -> FloatArray | None:
        """What the sweep selects on, turned so that less is better."""
        values = self.series.get(self.metric)
        return -values if values is not None and self.maximize else values

    @property
    def val_loss(self) -> FloatArray | None:
        """`val/nll`; of a loop without it the metric, if less of that is better."""
        return self.series.get("val/nll", None if self.maximize else self.series.get(self.metric))

    @property
    def train_loss(self) -> FloatArray | None:
        """`train/nll_eval`, which compares with `val/nll`, or else `train/loss`."""
        return self.series.get("train/nll_eval", self.series.get("train/loss"))

    @property
    def loss(self) -> FloatArray | None:
        """`train/loss`; of a loop without it, the validation loss."""
        return self.series.get("train/loss", self.val_loss)

    @property
    def smoothed(self) -> FloatArray | None:
        """`loss` as an EMA with a half-life of 1 % of the run.

        An epoch's mean is already smoother than that in a run below a hundred epochs, and is left as it is.
        """
        loss = self.loss
        return None if loss is None else ema(loss, HALF_LIFE * max(self.budget, len(self)))

    @property
    def after_warmup(self) -> BoolArray:
        """Which records are of epochs wholly after the warmup; all, if none is."""
        after = self.epochs - 1 >= self.warmup
        return after if after.any() else np.ones(len(self), dtype=np.bool_)

    def without_warmup(self, name: str) -> FloatArray | None:
        """Return a series after the warmup; None if it was not recorded."""
        values = self.series.get(name)
        return None if values is None or not len(values) else values[self.after_warmup]

    def finite(self) -> Curves:
        """Return the records before the first one with a number that is not finite."""
        bad = self.first_not_finite()
        if bad is None:
            return self
        before = {name: values[:bad] for name, values in self.series.items()}
        return replace(self, epochs=self.epochs[:bad], series=before)

    def first_not_finite(self) -> int | None:
        """Return the index of the first record with a number that is not finite."""
        bad = [int(np.argmin(np.isfinite(values))) for values in self.series.values() if not np.isfinite(values).all()]
        return min(bad, default=None)

    def at(self, index: int) -> str:
        """Name a record in a sentence: `epoch 7 (lr 0.0031)`."""
        rates = self.series.get("train/lr")
        rate = self.lr if rates is None else float(rates[index])
        epoch = f"epoch {self.epochs[index]}"
        return epoch if rate is None or not math.isfinite(rate) else f"{epoch} (lr {rate:.2g})"
