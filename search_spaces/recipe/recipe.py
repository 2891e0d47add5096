"""Every training hyperparameter of one training: a `Recipe` and its parts.

All classes are frozen, refuse unknown fields and check their arguments where they are born. Numbers are
strict: a text or a bool is not a number, 9 may stand for 9.0 but 9.0 not for 9, and NaN and infinity are
refused.

A default value is part of the meaning of `recipe_hash`, which leaves defaults out: **defaults never
change**. A new field must arrive with the default that does what was done before it existed.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, Strict, StringConstraints, model_validator

from search_spaces import metric_names
from search_spaces.recipe.averaging import Averaging, NoAverage
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import OPTIMIZERS, AdamW, Lookahead, Optimizer, ParameterGroups
from search_spaces.recipe.part import Count, Fraction, NonNegative, Part, Positive
from search_spaces.recipe.schedules import Cosine, Schedule, WeightDecaySchedule
from search_spaces.values import show


class Regularization(Part):
    """Regularization and stabilization of a training.

    Attributes:
        dropout: Probability that an activation is zeroed (Srivastava et al., JMLR 2014).
        label_smoothing: Mass spread evenly over all classes (Szegedy et al., CVPR 2016).
        clip_norm: Largest global gradient norm (Pascanu et al., ICML 2013); None does not clip.
        clip_value: Largest absolute value of an item of the gradient; None does not clip.
        drop_path: Probability that a residual branch is skipped (Huang et al., ECCV 2016), in models that have them.
        mixup: Both parameters of the Beta distribution of mixup's weights (Zhang et al., ICLR 2018); 0 is off.
        cutmix: The same for the areas that CutMix pastes (Yun et al., ICCV 2019). With mixup, each batch gets either.
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
                f"gradients are clipped one way, found clip_norm {self.clip_norm} and clip_value {self.clip_value};"
                " set one of them to null"
            )
        return self


class Patience(Part):
    """Early stopping on a plateau of `val/nll`, inside one training.

    Source: Prechelt, "Early Stopping - But When?", 1998.

    Attributes:
        epochs: Epochs without improvement after which the training ends; None trains the whole budget.
        min_delta: An improvement is a fall of `val/nll` by more than this, in nats.
        restore_best: Whether the best epoch's weights are put back at the end, and reported by the last epoch.
    """

    epochs: Count | None = None
    min_delta: NonNegative = 0.0
    restore_best: bool = True


class Precision(Part):
    """Number formats and kernels.

    Source: Micikevicius et al., "Mixed Precision Training", ICLR 2018.

    Attributes:
        kind: `fp32`; `bf16` autocast, which needs no loss scaling; `fp16` autocast with dynamic loss scaling, on CUDA
            only. Weights, their updates and the loss stay in fp32.
        compile: Whether the training's forward pass goes through torch.compile.
        deterministic: Whether every kernel has to give the same bits each time; some are slower, and an operation
            without such a kernel fails.
        device: `auto` is CUDA where there is one. A training that asks for what is not there fails.
    """

    kind: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Switch(Part):
    """Another optimizer from some step on; it starts without state, and the schedule continues.

    Source: Keskar and Socher, "Improving Generalization Performance by Switching from Adam to SGD", 2017.

    Attributes:
        at: Fraction of all optimizer steps before the switch.
        to: The optimizer after it; its `lr` is the peak that the schedule's factor is applied to.
    """

    at: Annotated[float, Field(gt=0, lt=1)] = 0.5
    to: Optimizer


class Signals(Part):
    """Measurements in addition to what every epoch reports.

    Attributes:
        train_rescored: Whether a fixed part of `train`, at most as large as `val`, is scored in eval mode after each
            epoch: `train/nll_eval`, which unlike `train/loss` compares with `val/nll`.
        pruning: Shares of the smallest weights that are set to zero, all matrices together, in copies of the model that
            the last epoch evaluates: `test/accuracy@pruned50` (Han et al., NeurIPS 2015).
        fgsm: Distances, in units of the inputs, by which every input is moved against the model before the last epoch
            evaluates it once more: `test/accuracy@fgsm0.1` (Goodfellow et al., ICLR 2015).
    """

    train_rescored: bool = False
    # YAML and JSON write a tuple as a list; the items stay strict.
    pruning: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Strict(False)] = ()
    fgsm: Annotated[tuple[Positive, ...], Strict(False)] = ()

    @model_validator(mode="after")
    def _every_evaluation_has_a_name_of_its_own(self) -> Self:
        names = [*map(metric_names.pruned, self.pruning), *map(metric_names.fgsm, self.fgsm)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"must not repeat a value, found {repeated[0]} twice")
        return self


class Budget(Part):
    """Length of a training and size of its batches.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples per micro-batch.
        accumulation: Micro-batches per optimizer step.
        lr_scaling: How peak learning rates follow the effective batch, `batch_size * accumulation`: not at all, in
            proportion (Goyal et al., 2017), or with its square root (for adaptive optimizers; Malladi et al., 2022).
        base_batch_size: Effective batch for which learning rates are meant as they are written; for `lr_scaling`.
    """

    epochs: Count = 27
    batch_size: Count = 64
    accumulation: Count = 1
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    base_batch_size: Count = 256


CustomValue = bool | int | float | str


def _check_custom(value: object) -> CustomValue:
    if not isinstance(value, CustomValue):
        raise ValueError(f"must be true, false, a number or a text, found {show(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be finite, found {value}")
    return value


_CustomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Recipe(Part):
    """Every training hyperparameter of one training.

    Attributes:
        optimizer: One of the classes of `search_spaces.recipe.optimizers`.
        groups: Shares of the learning rate by layer, and what is frozen.
        lookahead: Slow weights around the optimizer.
        switch: Another optimizer for the rest of the training; None keeps the first.
        schedule: Course of the learning rate: one of the classes of `search_spaces.recipe.schedules`.
        weight_decay_schedule: Course of the weight decay.
        regularization: Dropout, label smoothing, clipping, mixing of examples.
        averaging: `NoAverage`, `EMA`, `SWA` or `Best`: weights evaluated in addition to the last step's.
        patience: Early stopping on a plateau.
        precision: Number formats and kernels.
        signals: What is measured in addition.
        model: Architecture, size, normalization and initial weights, where the task leaves the choice.
        budget: Epochs, batch size, accumulation.
        custom: Hyperparameters of a user's own task or training loop, handed over untouched.
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

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """Optimizer in each section that has one: `optimizer`, and `switch.to` if there is a switch."""
        return {"optimizer": self.optimizer, **({"switch.to": self.switch.to} if self.switch else {})}

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
