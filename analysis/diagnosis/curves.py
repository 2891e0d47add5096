"""The recorded curves of one run, with the facts that the rules need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.smoothing import BoolArray, FloatArray, ema
from search_spaces.metric_names import must_be_finite

HALF_LIFE = 0.01  # share of all steps
_VALIDATION = ("val", "valid", "validation", "eval", "dev")
VAL_EXAMPLES = 500  # default if the number is unknown: as in small tasks, so the standard error is wide

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves of one run, with one record per epoch.

    Attributes:
        epochs: Number of finished epochs at each record, increasing from 1, shape `(n,)`.
        series: Recorded values by name, each of shape `(n,)`; NaN or infinite where the run reported that.
        budget: Planned number of epochs.
        state: `COMPLETE`, `STOPPED` (at a rung), `DIVERGED`, `FAILED`, or anything else for an unfinished run.
        metric: Metric that the sweep selects on.
        maximize: Whether a larger metric is better.
        classes: Number of classes; None if the task is not a classification.
        lr: Peak learning rate of the recipe.
        warmup: Number of epochs or steps until the peak of the learning rate, possibly fractional.
        clips: Whether the recipe clips gradients; otherwise `train/clip_rate` is 0 and carries no information.
        steps_per_epoch: Number of optimizer steps per epoch, if known.
        val_examples: Number of validation examples, if known.
        shares: Share of each class in the validation split; without any, classes count as equally frequent.
        initial_loss: Loss before the first step, if it was measured.
        unit: What is counted as epochs: "epoch", or "step" for a budget of steps.
        command: Whether a program trained the run, which may lack what a recipe has.
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
    shares: tuple[float, ...] = ()
    initial_loss: float | None = None
    unit: str = "epoch"
    command: bool = False

    def __post_init__(self) -> None:
        if self.epochs.ndim != 1 or (np.diff(self.epochs) <= 0).any():
            raise ValueError(f"epochs must be one-dimensional and increasing, found {self.epochs.tolist()}")
        wrong = {name: values.shape for name, values in self.series.items() if values.shape != self.epochs.shape}
        if wrong:
            raise ValueError(f"every series must have shape {self.epochs.shape}, found {wrong}")

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def record(self) -> str:
        """The name of what has one point in a curve: "epoch", or "report" with a budget of steps."""
        return "epoch" if self.unit == "epoch" else "report"

    @property
    def steps(self) -> int:
        """Number of optimizer steps of all records; 0 if it is unknown."""
        if self.unit == "step":
            return int(self.epochs[-1]) if len(self) else 0
        return len(self) * (self.steps_per_epoch or 0)

    @property
    def uniform_loss(self) -> float | None:
        """Cross entropy of equal probabilities, ln K in nats, where a training starts; None without classes."""
        return math.log(self.classes) if self.classes is not None and self.classes > 1 else None

    @property
    def chance_loss(self) -> float | None:
        """Cross entropy of always predicting the shares of the classes: their entropy in nats; None without classes."""
        if not self.shares or self.uniform_loss is None:
            return self.uniform_loss
        return -sum(share * math.log(share) for share in self.shares if share > 0.0)

    @property
    def chance_name(self) -> str:
        """What `chance_loss` is, for a sentence."""
        return "the entropy of the class shares" if self.shares else "ln K"

    @property
    def chance_accuracy(self) -> float | None:
        """Accuracy of always predicting the most frequent class."""
        if self.classes is None:
            return None
        return max(self.shares, default=1.0 / self.classes)

    @property
    def examples(self) -> int:
        """Number of validation examples, or a default."""
        return self.val_examples or VAL_EXAMPLES

    @property
    def cost(self) -> FloatArray | None:
        """Metric that the sweep selects on, with its sign changed if necessary so that smaller is better."""
        values = self.series.get(self.metric)
        return -values if values is not None and self.maximize else values

    @property
    def val_loss(self) -> FloatArray | None:
        """`val/loss`, `val/nll` or another name of it; without any, the metric if smaller is better."""
        found = self._on_validation("loss", "nll")
        return found if found is not None or self.maximize else self.series.get(self.metric)

    @property
    def val_accuracy(self) -> FloatArray | None:
        """`val/accuracy` or another name of it, if all values are shares, as a program may count in percent."""
        found = self._on_validation("accuracy", "acc")
        return None if found is None or ((found < 0) | (found > 1)).any() else found

    def _on_validation(self, *names: str) -> FloatArray | None:
        """Return the first of these metrics that was recorded on validation data, which programs call differently."""
        return self._first(*(f"{split}/{name}" for name in names for split in _VALIDATION))

    @property
    def train_loss(self) -> FloatArray | None:
        """`train/loss_eval` or `train/nll_eval`, which is comparable with `val_loss`; without them, `train/loss`."""
        return self._first("train/loss_eval", "train/nll_eval", "train/loss")

    @property
    def train_rescored(self) -> FloatArray | None:
        """The training loss in eval mode; None if it was not recorded."""
        return self._first("train/loss_eval", "train/nll_eval")

    @property
    def loss(self) -> FloatArray | None:
        """`train/loss`; without it, the validation loss."""
        return self.series.get("train/loss", self.val_loss)

    def _first(self, *names: str) -> FloatArray | None:
        """Return the first of some series that was recorded."""
        return next((self.series[name] for name in names if name in self.series), None)

    @property
    def smoothed(self) -> FloatArray | None:
        """`loss` as an EMA with a half-life of 1 % of the run.

        In runs below 100 epochs this is hardly any smoothing, because the mean of an epoch is already smoother.
        """
        loss = self.loss
        return None if loss is None else ema(loss, HALF_LIFE * max(self.budget, len(self)))

    @property
    def after_warmup(self) -> BoolArray:
        """Mask of the records after the warmup; all records if the warmup never ends."""
        start = self.epochs - 1 if self.unit == "epoch" else np.concatenate(([0], self.epochs[:-1]))[: len(self)]
        after = start >= self.warmup
        return after if after.any() else np.ones(len(self), dtype=np.bool_)

    def without_warmup(self, name: str) -> FloatArray | None:
        """Return the records of a series after the warmup; None if it was not recorded."""
        values = self.series.get(name)
        return None if values is None or not len(values) else values[self.after_warmup]

    def finite(self) -> Curves:
        """Return the records before a loss or the metric is not finite, without other series that are not finite."""
        bad = self.first_not_finite()
        before = {name: values[:bad] for name, values in self.series.items()}
        series = {name: values for name, values in before.items() if np.isfinite(values).all()}
        return replace(self, epochs=self.epochs[:bad], series=series)

    def first_not_finite(self) -> int | None:
        """Return the index of the first record in which a loss or the metric of the sweep is not finite."""
        bad = [at for name, at in self.not_finite().items() if must_be_finite(name, self.metric)]
        return min(bad, default=None)

    def not_finite(self) -> Mapping[str, int]:
        """Return the index of the first non-finite value of each series that has one."""
        return {
            name: int(np.argmin(np.isfinite(values)))
            for name, values in self.series.items()
            if not np.isfinite(values).all()
        }

    def at(self, index: int) -> str:
        """Return the name of a record for a sentence: `epoch 7 (lr 0.0031)`."""
        rates = self.series.get("train/lr", self.series.get("train/learning_rate"))
        rate = self.lr if rates is None else float(rates[index])
        epoch = f"{self.unit} {self.epochs[index]}"
        return epoch if rate is None or not math.isfinite(rate) else f"{epoch} (lr {rate:.2g})"
