"""Every hyperparameter of one training: a `Recipe` and its parts.

All classes are frozen, reject unknown fields and check their values when they are created. Numbers are strict: text
and booleans are not numbers, 9 is accepted for 9.0 but 9.0 not for 9, and NaN and infinity are invalid.

`recipe_hash` leaves out defaults, so **a default must never change**. The default of a new field must keep the
behavior of earlier releases.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, Strict, StringConstraints, model_validator

from search_spaces import metric_names
from search_spaces.errors import UsageError
from search_spaces.recipe.averaging import Averaging, NoAverage
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import OPTIMIZERS, AdamW, Lookahead, Optimizer, ParameterGroups
from search_spaces.recipe.part import Count, Fraction, NonNegative, Part, Positive
from search_spaces.recipe.schedules import Cosine, Schedule, WeightDecaySchedule
from search_spaces.values import Value, checked_value, counted, show


class Regularization(Part):
    """Regularization and stabilization of a training.

    Attributes:
        dropout: Probability that an activation is zeroed (Srivastava et al., JMLR 2014).
        label_smoothing: Probability mass that is spread evenly over all classes (Szegedy et al., CVPR 2016).
        clip_norm: Maximum global norm of the gradient (Pascanu et al., ICML 2013); None does not clip.
        clip_value: Maximum absolute value of an entry of the gradient; None does not clip.
        drop_path: Probability that a residual branch is skipped (Huang et al., ECCV 2016), in models that have them.
        mixup: Both parameters of the Beta distribution of mixup's weights (Zhang et al., ICLR 2018); 0 is off.
        cutmix: The same for the areas that CutMix pastes (Yun et al., ICCV 2019). With both, each batch uses one.
    """

    dropout: Fraction = 0.0
    label_smoothing: Fraction = 0.0
    clip_norm: Positive | None = None
    clip_value: Positive | None = None
    drop_path: Fraction = 0.0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0

    @model_validator(mode="after")
    def _one_clipping(self) -> Self:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError(
                f"must not have both clip_norm and clip_value, found {self.clip_norm} and {self.clip_value};"
                " set one of them to null"
            )
        return self


class Patience(Part):
    """Early stopping on a plateau of the validation loss, inside one training.

    Source: Prechelt, "Early Stopping - But When?", 1998.

    Attributes:
        epochs: Number of epochs without improvement after which training stops; None trains the whole budget.
        reports: The same as a number of reports, with a budget in steps.
        min_delta: Decrease of the validation loss that an improvement must exceed: `val/nll` in nats, or `val/loss`.
        restore_best: Whether the best epoch's weights are restored at the end, and reported by the last epoch.
    """

    epochs: Count | None = None
    reports: Count | None = None
    min_delta: NonNegative = 0.0
    restore_best: bool = True

    @property
    def limit(self) -> int | None:
        """Number of evaluations without improvement after which training stops; None trains the whole budget."""
        return self.epochs or self.reports


class Precision(Part):
    """Number formats and kernels.

    Source: Micikevicius et al., "Mixed Precision Training", ICLR 2018.

    Attributes:
        kind: `fp32`; `bf16` autocast, which needs no loss scaling; `fp16` autocast with dynamic loss scaling, on CUDA
            only. Weights, their updates and the loss stay in fp32.
        compile: Whether the forward pass of the training is compiled by torch.compile.
        deterministic: Whether only deterministic kernels are used. Some are slower, and an operation without one fails.
        device: `auto` uses CUDA if the run has a share of a GPU. A training fails if the device that it requires is not
            available.
    """

    kind: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Switch(Part):
    """Change of the optimizer during training. The new one starts without state, and the schedule continues.

    Source: Keskar and Socher, "Improving Generalization Performance by Switching from Adam to SGD", 2017.

    Attributes:
        at: Fraction of all optimizer steps before the switch.
        to: Optimizer after the switch; its `lr` is the peak of the schedule.
    """

    at: Annotated[float, Field(gt=0, lt=1)] = 0.5
    to: Optimizer


class Signals(Part):
    """Measurements in addition to those of every epoch.

    Attributes:
        train_rescored: Whether a fixed part of `train`, at most as large as `val`, is scored in eval mode after each
            epoch: `train/nll_eval`, which unlike `train/loss` is comparable with `val/nll`; `train/loss_eval` of a task
            with a loss of its own.
        pruning: Shares of the smallest weights of all matrices that are set to zero for an additional evaluation in the
            last epoch: `test/accuracy@pruned50` (Han et al., NeurIPS 2015).
        fgsm: Sizes of adversarial perturbations, in units of the inputs, for an additional evaluation in the last
            epoch: `test/accuracy@fgsm0.1` (Goodfellow et al., ICLR 2015).
    """

    train_rescored: bool = False
    # YAML and JSON write a tuple as a list; the items stay strict.
    pruning: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Strict(False)] = ()
    fgsm: Annotated[tuple[Positive, ...], Strict(False)] = ()

    @model_validator(mode="after")
    def _names_of_evaluations_are_unique(self) -> Self:
        names = [*map(metric_names.pruned, self.pruning), *map(metric_names.fgsm, self.fgsm)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"must not repeat a value, found {repeated[0]} twice")
        return self


Unit = Literal["epoch", "step"]
REPORTS = 27
"""Number of reports in a budget of steps: three rungs of ASHA with the default reduction factor."""


class Budget(Part):
    """Length of a training and size of its batches.

    Attributes:
        epochs: Number of passes over the training split; None with `steps`.
        steps: Number of optimizer steps, over as many passes as needed, instead of `epochs`. A command or a training
            loop counts them itself.
        report_every: Number of steps between two evaluations and reports, with `steps`; the last step reports, too. By
            default, a 27th of `steps`, which is also the default first rung of ASHA.
        batch_size: Number of examples per micro-batch.
        accumulation: Number of micro-batches per optimizer step.
        lr_scaling: Scaling of the learning rates with the effective batch size, `batch_size * accumulation`: none,
            linear (Goyal et al., 2017), or by its square root (for adaptive optimizers; Malladi et al., 2022).
        base_batch_size: Effective batch size at which the learning rates are not scaled.
    """

    epochs: Count | None = 27
    steps: Count | None = None
    report_every: Count | None = None
    batch_size: Count = 64
    accumulation: Count = 1
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    base_batch_size: Count = 256

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_the_default(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("steps") is not None and "epochs" not in values:
            return {**values, "epochs": None}
        return values

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("must have epochs or steps, found neither")
        if self.epochs is not None and self.steps is not None:
            raise ValueError(f"must have epochs or steps, found {self.epochs} and {self.steps}; remove one of them")
        if self.report_every is not None and self.steps is None:
            raise ValueError(
                f"report_every needs steps, found epochs {self.epochs}, which each end with a report; remove it"
            )
        if self.steps is not None and (self.report_every or 1) > self.steps:
            raise ValueError(
                f"report_every must be at most steps, found {self.report_every} and {self.steps}; reduce it"
            )
        return self

    @property
    def unit(self) -> Unit:
        """The unit of progress: what `length` counts."""
        return "epoch" if self.steps is None else "step"

    @property
    def length(self) -> int:
        """Number of epochs or steps of a full training."""
        return self.steps or self.epochs or 0  # it has one of them, which is at least 1

    @property
    def interval(self) -> int:
        """Number of epochs or steps between two reports."""
        return 1 if self.steps is None else self.report_every or max(1, self.steps // REPORTS)

    @property
    def reports(self) -> int:
        """Number of reports of a full training."""
        return math.ceil(self.length / self.interval)

    @property
    def text(self) -> str:
        """The length in words: 27 epochs, 1 step."""
        return self.counted(self.length)

    def counted(self, number: int) -> str:
        """Return a number with the unit: 27 epochs, 1 step."""
        return counted(number, self.unit)


CustomValue = bool | int | float | str


def _check_custom(value: object) -> CustomValue:
    if not isinstance(value, CustomValue):
        raise ValueError(f"must be true, false, a number or a text, found {show(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be finite, found {value}")
    return value


_CustomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


_ARGUMENT = re.compile(r"[A-Za-z_+~][\w.+@/:-]{0,99}")


def _check_argument_name(name: str) -> str:
    if not _ARGUMENT.fullmatch(name) or name.endswith("."):
        rule = "must be the name of an argument without dashes in front, such as weight-decay"
        raise ValueError(f"{rule}, found {show(name)}")
    return name


def _check_argument(value: object) -> Value:
    try:
        return checked_value(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


_ArgumentName = Annotated[str, AfterValidator(_check_argument_name)]
OPEN_SECTIONS = ("custom", "args")
"""The sections of a recipe whose names are the user's."""


class Recipe(Part):
    """Every training hyperparameter of one training.

    Attributes:
        optimizer: One of the classes of `search_spaces.recipe.optimizers`.
        groups: Learning rates by layer, and frozen layers.
        lookahead: Slow weights around the optimizer.
        switch: Another optimizer for the rest of the training; None keeps the first.
        schedule: Schedule of the learning rate: one of the classes of `search_spaces.recipe.schedules`.
        weight_decay_schedule: Schedule of the weight decay.
        regularization: Dropout, label smoothing, clipping, mixing of examples.
        averaging: `NoAverage`, `EMA`, `SWA` or `Best`: weights evaluated in addition to the last step's.
        patience: Early stopping on a plateau.
        precision: Number formats and kernels.
        signals: Additional measurements.
        model: Architecture, size, normalization and initial weights, if the task supports them.
        budget: Epochs, batch size, accumulation.
        custom: Hyperparameters of a user's own task or training loop, passed on unchanged.
        args: Arguments of a command.
    """

    optimizer: Optimizer = AdamW()
    groups: ParameterGroups = ParameterGroups()
    lookahead: Lookahead = Lookahead()
    switch: Switch | None = None
    schedule: Schedule = Cosine()
    weight_decay_schedule: WeightDecaySchedule = WeightDecaySchedule()
    regularization: Regularization = Regularization()
    averaging: Averaging = NoAverage()
    patience: Patience = Patience()
    precision: Precision = Precision()
    signals: Signals = Signals()
    model: Model = Model()
    budget: Budget = Budget()
    custom: Mapping[_CustomName, Annotated[CustomValue, PlainValidator(_check_custom)]] = {}
    args: Mapping[_ArgumentName, Annotated[Value, PlainValidator(_check_argument)]] = {}

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """Optimizer in each section that has one: `optimizer`, and `switch.to` if there is a switch."""
        return {"optimizer": self.optimizer, **({"switch.to": self.switch.to} if self.switch else {})}

    @model_validator(mode="after")
    def _patience_fits_the_budget(self) -> Self:
        given, steps = self.patience, self.budget.unit == "step"
        if steps and given.epochs is not None:
            raise ValueError(
                f"patience.epochs counts epochs, but the budget has steps, found {given.epochs};"
                " use patience.reports, which counts evaluations"
            )
        if not steps and given.reports is not None:
            raise ValueError(f"patience.reports is for a budget of steps, found {given.reports}; use patience.epochs")
        return self

    @model_validator(mode="after")
    def _curvature_needs_the_true_loss(self) -> Self:
        second_order = [one.kind for one in self.optimizers.values() if one.SECOND_ORDER]
        if self.precision.kind == "fp16" and second_order:
            raise ValueError(
                f"{second_order[0]} measures curvature, which the loss scaling of fp16 distorts; use precision bf16"
            )
        return self

    @model_validator(mode="after")
    def _width_scaling_fits_the_optimizer(self) -> Self:
        # The models implement the Adam column of Table 8 of Yang et al. (2022), which needs steps that do not depend on
        # the scale of a gradient entry. SGD has another column, and optimizers that use norms of layers have none.
        others = [one.kind for one in self.optimizers.values() if not one.ENTRYWISE]
        if self.model.mup_base is not None and others:
            raise ValueError(
                f"model.mup_base scales widths for Adam's family, found optimizer {others[0]}; set it to null, or use"
                f" one of {', '.join(kind for kind, one in OPTIMIZERS.items() if one.ENTRYWISE)}"
            )
        return self
