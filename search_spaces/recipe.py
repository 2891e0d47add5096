"""Every training hyperparameter of one training: a `Recipe` and its parts.

All classes are frozen, refuse unknown fields and check their arguments where they are born. Numbers are
strict: a text or a bool is not a number, 9 may stand for 9.0 but 9.0 not for 9, and NaN and infinity are
refused.

A default value is part of the meaning of `recipe_hash`, which leaves defaults out: **defaults never
change**. A new field must arrive with the default that does what was done before it existed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, model_validator
from pydantic.types import Strict

from search_spaces.values import show

Decay = Literal["all", "matrices", "none"]
"""Which parameters weight decay shrinks: all of them, weight matrices only (not biases, norm scales and
other one-dimensional parameters), or none."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
# YAML and JSON write a tuple as a list; the items stay strict.
Betas = Annotated[tuple[Fraction, Fraction], Strict(False)]


class Part(BaseModel):
    """What every part of a spec has in common: frozen, strict, no unknown fields, finite numbers.

    `HINTS` maps the name of a field that people expect here, and that is left out on purpose, to the way out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    HINTS: ClassVar[Mapping[str, str]] = {}


class AdamW(Part):
    """Adam with decoupled weight decay: each step also multiplies weights by `1 - lr * weight_decay`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Attributes:
        lr: Peak learning rate.
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        weight_decay: Strength of the decoupled decay.
        decay: Which parameters are decayed.
        decay_embeddings: Whether embedding tables count as matrices.
    """

    kind: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class Adam(Part):
    """Adaptive moments, without any weight decay.

    An L2 term would pass through the adaptive denominator, so that weights with large gradients are hardly
    decayed at all. Whoever wants decay wants `AdamW`.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Attributes:
        lr: Peak learning rate.
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
    """

    HINTS: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("weight_decay", "decay", "decay_embeddings"),
        "adam has no weight decay, which would pass through its adaptive denominator; use kind: adamw",
    )

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8


class SGD(Part):
    """Stochastic gradient descent with momentum.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Attributes:
        lr: Peak learning rate.
        momentum: Decay rate of the velocity; 0 is plain SGD.
        nesterov: Whether the gradient is taken at the look-ahead point; needs momentum.
        weight_decay: Strength of the decay (for SGD, L2 and decoupled decay differ only in scale).
        decay: Which parameters are decayed.
        decay_embeddings: Whether embedding tables count as matrices.
    """

    kind: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    momentum: Fraction = 0.9
    nesterov: bool = True
    weight_decay: NonNegative = 5e-4
    decay: Decay = "matrices"
    decay_embeddings: bool = True

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum > 0, found momentum 0; write nesterov: false for plain SGD")
        return self


Optimizer = Annotated[AdamW | Adam | SGD, Field(discriminator="kind")]


class _Warmup(Part):
    """Linear warmup from 0; the peak is reached exactly at its end.

    Attributes:
        warmup: Fraction of all optimizer steps.
        warmup_steps: The same as a number of steps, instead of `warmup`.
    """

    warmup: Fraction = 0.0
    warmup_steps: Steps | None = None

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup > 0 and self.warmup_steps is not None:
            raise ValueError(
                f"warmup is given once, found warmup {self.warmup} and warmup_steps {self.warmup_steps};"
                " set warmup to 0 or warmup_steps to null"
            )
        return self


class Cosine(_Warmup):
    """Half a cosine from the peak down to `min_factor` times the peak, at the last step.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Attributes:
        warmup: Fraction of all optimizer steps.
        warmup_steps: The same as a number of steps, instead of `warmup`.
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["cosine"] = "cosine"
    min_factor: Fraction = 0.0


class Linear(_Warmup):
    """A straight line from the peak down to `min_factor` times the peak, at the last step.

    Attributes:
        warmup: Fraction of all optimizer steps.
        warmup_steps: The same as a number of steps, instead of `warmup`.
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["linear"] = "linear"
    min_factor: Fraction = 0.0


class Constant(_Warmup):
    """The peak from the end of the warmup on.

    Attributes:
        warmup: Fraction of all optimizer steps.
        warmup_steps: The same as a number of steps, instead of `warmup`.
    """

    kind: Literal["constant"] = "constant"


Schedule = Annotated[Cosine | Linear | Constant, Field(discriminator="kind")]


class Regularization(Part):
    """What keeps a training from fitting noise or from blowing up.

    Attributes:
        dropout: Probability that an activation is zeroed (Srivastava et al., JMLR 2014).
        label_smoothing: Mass spread evenly over all classes (Szegedy et al., CVPR 2016).
        clip_norm: Largest global gradient norm (Pascanu et al., ICML 2013); None does not clip.
    """

    dropout: Fraction = 0.0
    label_smoothing: Fraction = 0.0
    clip_norm: Positive | None = None


class Budget(Part):
    """How long a training is, and in what portions.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples per micro-batch.
        accumulation: Micro-batches per optimizer step.
    """

    epochs: Count = 27
    batch_size: Count = 64
    accumulation: Count = 1


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
        optimizer: One of `AdamW`, `Adam`, `SGD`.
        schedule: One of `Cosine`, `Linear`, `Constant`.
        regularization: Dropout, label smoothing, clipping.
        budget: Epochs, batch size, accumulation.
        custom: Hyperparameters of a user's own task or training loop, handed over untouched.
    """

    optimizer: Optimizer = AdamW()
    schedule: Schedule = Cosine()
    regularization: Regularization = Regularization()
    budget: Budget = Budget()
    custom: Mapping[_CustomName, Annotated[CustomValue, PlainValidator(_check_custom)]] = {}
