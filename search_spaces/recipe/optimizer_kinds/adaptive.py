"""Optimizers that divide each weight's step by the size of its past gradients: Adagrad, RMSprop and Adam's family."""

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
    """Adaptive moments, without any weight decay.

    An L2 term would pass through the adaptive denominator, so that weights with large gradients are hardly
    decayed at all. For weight decay, use `AdamW`.

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

    Here to be compared with `AdamW`, which differs from it in one thing: the term passes through the adaptive
    denominator, so that weights with large gradients are decayed less.

    Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019, Algorithm 2 without the decoupling.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        weight_decay: Factor of the weights that are added to the gradient.
        decay: Which parameters have the term.
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
    """AdamW with Nesterov momentum, whose rate rises towards `betas[0]` during training.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        momentum_decay: How fast the momentum reaches `betas[0]`, per step.
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
    """AdamW that is plain momentum until its second moment has seen enough steps: a built-in warmup.

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
    """The gradient divided by a running root mean square, without any weight decay.

    Source: Tieleman and Hinton, "Lecture 6.5 - RMSProp", Coursera 2012; its learning rate is 1e-3.

    Attributes:
        alpha: Decay rate, per step, of the mean square.
        eps: Added to the root mean square.
        momentum: Decay rate of the velocity; 0 has none.
        centered: Whether the mean gradient is taken out of the mean square (Graves, 2013).
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
    """The gradient divided by the root of the sum of all its squares: for sparse features.

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
    """Second moments kept as one row and one column per matrix: for models that fill the memory.

    The step is relative to the size of the parameter: at step t it is
    `min(lr, 1 / sqrt(t)) * max(min_rms, rms(parameter))`.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018.

    Attributes:
        lr: Peak of the relative step.
        beta2_decay: Exponent of the second moment's decay rate, `1 - step ** beta2_decay`.
        min_rms: Smallest size that a parameter is taken to have.
        clip_threshold: Largest root mean square of an update, before the step size.
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

    Made for `schedule: {kind: constant, warmup: ...}`; a decaying schedule works, and gives the later weights
    less say in the average.

    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024; its learning rate is 1 to 10 times that of
    a scheduled AdamW.

    Attributes:
        betas: Place of the gradient between the path (0) and its average (1), and decay rate, per step, of the
            second moment.
        eps: Added to the square root of the second moment.
    """

    TYPICAL_RATES = TypicalRates(1e-4, 1e-2, 1e-5, "Defazio et al., NeurIPS 2024")
    ENTRYWISE = True

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    lr: Positive = 2.5e-3
    # The average is read back by a division by the first one.
    betas: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], Fraction], Strict(False)] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True
