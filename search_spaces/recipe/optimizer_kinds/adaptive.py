"""Optimizers that divide the step of each weight by the size of its past gradients: Adagrad, RMSprop, Adam's family."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.types import Strict

from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind, TypicalRates
from search_spaces.recipe.part import Betas, Decay, Fraction, NonNegative, Positive


def _no_decay(kind: str) -> Mapping[str, str]:
    """Return the hints of an optimizer that has no weight decay on purpose."""
    return dict.fromkeys(
        ("weight_decay", "decay", "decay_embeddings"),
        f"{kind} has no weight decay, which would pass through its adaptive denominator; use kind: adamw",
    )


class AdamW(OptimizerKind):
    """Adam with decoupled weight decay: each step also multiplies weights by `1 - lr * weight_decay`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 3e-3, 1e-5, "Loshchilov and Hutter, ICLR 2019")
    ENTRYWISE = True

    kind: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class Adam(OptimizerKind):
    """Adaptive moments, without weight decay.

    An L2 term would be divided by the adaptive denominator, so that weights with large gradients hardly decay. For
    weight decay, use `AdamW`.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
    """

    HINTS: ClassVar[Mapping[str, str]] = _no_decay("adam")
    TYPICAL_RATES = TypicalRates(1e-4, 3e-3, 1e-5, "Kingma and Ba, ICLR 2015")
    ENTRYWISE = True

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8


class AdamL2(OptimizerKind):
    """Adam on the loss plus `weight_decay / 2` times the squared norm of the weights.

    Provided for comparisons with `AdamW`. The only difference is that the L2 term is divided by the adaptive
    denominator, so that weights with large gradients decay less.

    Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019, Algorithm 2 without the decoupling.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        weight_decay: Factor of the weights in the gradient.
        decay: Which parameters have the L2 term.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 3e-3, 1e-5, "Kingma and Ba, ICLR 2015")
    ENTRYWISE = True

    kind: Literal["adam_l2"] = "adam_l2"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class NAdam(OptimizerKind):
    """AdamW with Nesterov momentum, which increases to `betas[0]` during training.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        momentum_decay: Rate per step at which the momentum approaches `betas[0]`.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 2e-3, 1e-5, "Dozat, ICLR workshop 2016")
    ENTRYWISE = True

    kind: Literal["nadam"] = "nadam"
    lr: Positive = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    momentum_decay: NonNegative = 4e-3
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class RAdam(OptimizerKind):
    """AdamW with a built-in warmup: the second moment is only used after enough steps.

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 1e-3, 1e-5, "Liu et al., ICLR 2020")
    ENTRYWISE = True
    BUILT_IN_WARMUP = True

    kind: Literal["radam"] = "radam"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class RMSprop(OptimizerKind):
    """The gradient divided by a running root mean square, without weight decay.

    Source: Tieleman and Hinton, "Lecture 6.5 - RMSProp", Coursera 2012; its learning rate is 1e-3.

    Attributes:
        alpha: Decay rate, per step, of the mean square.
        eps: Added to the root mean square.
        momentum: Decay rate of the velocity; 0 is no momentum.
        centered: Whether the mean gradient is subtracted from the mean square (Graves, 2013).
    """

    HINTS: ClassVar[Mapping[str, str]] = _no_decay("rmsprop")
    TYPICAL_RATES = TypicalRates(1e-4, 1e-3, 1e-5, "Tieleman and Hinton, 2012")
    ENTRYWISE = True

    kind: Literal["rmsprop"] = "rmsprop"
    lr: Positive = 1e-3
    alpha: Fraction = 0.99
    eps: Positive = 1e-8
    momentum: Fraction = 0.0
    centered: bool = False


class Adagrad(OptimizerKind):
    """The gradient divided by the root of the sum of its squares over all steps; for sparse features.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods", JMLR 2011.

    Attributes:
        eps: Added to the root of the sum.
        initial_accumulator: Initial value of the sum.
    """

    HINTS: ClassVar[Mapping[str, str]] = _no_decay("adagrad")
    TYPICAL_RATES = TypicalRates(1e-3, 1e-1, 1e-4, "Duchi et al., JMLR 2011")
    ENTRYWISE = True

    kind: Literal["adagrad"] = "adagrad"
    lr: Positive = 1e-2
    eps: Positive = 1e-10
    initial_accumulator: NonNegative = 0.0


class Adafactor(OptimizerKind):
    """Second moments stored as one row and one column per matrix, which saves memory.

    The step is relative to the size of the parameter: at step t it is
    `min(lr, 1 / sqrt(t)) * max(min_rms, rms(parameter))`.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018.

    Attributes:
        lr: Peak of the relative step.
        beta2_decay: Exponent of the second moment's decay rate, `1 - step ** beta2_decay`.
        min_rms: Lower bound on the size of a parameter in this formula.
        clip_threshold: Maximum root mean square of an update, before it is multiplied by the step size.
    """

    TYPICAL_RATES = TypicalRates(1e-3, 1e-2, 1e-4, "Shazeer and Stern, ICML 2018")
    BOUNDED_STEP = True

    kind: Literal["adafactor"] = "adafactor"
    lr: Positive = 1e-2
    beta2_decay: Annotated[float, Field(lt=0)] = -0.8
    min_rms: Positive = 1e-3
    clip_threshold: Annotated[float, Field(ge=1)] = 1.0
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class ScheduleFreeAdamW(OptimizerKind):
    """AdamW that is evaluated at an average of its iterates, instead of a decaying schedule.

    Use it with `schedule: {kind: constant, warmup: ...}`. With a decaying schedule, later weights have less influence
    on the average.

    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024; its learning rate is 1 to 10 times that of
    a scheduled AdamW.

    Attributes:
        betas: Position between the iterates (0) and their average (1) at which the gradient is taken, and decay rate,
            per step, of the second moment.
        eps: Added to the square root of the second moment.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 1e-2, 1e-5, "Defazio et al., NeurIPS 2024")
    ENTRYWISE = True
    EVALUATES_AVERAGE = True

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    lr: Positive = 2.5e-3
    # The first value must not be 0, because the average is recovered by dividing by it.
    betas: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], Fraction], Strict(False)] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True
