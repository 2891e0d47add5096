"""Optimizers for very large batches, whose step is relative to the norm of each layer: LARS and LAMB."""

from typing import Literal

from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind, TypicalRates
from search_spaces.recipe.part import Betas, Decay, Fraction, NonNegative, Positive


class LARS(OptimizerKind):
    """SGD with momentum whose step is `lr * trust_coefficient` times the norm of each weight matrix.

    Parameters of one dimension take a plain SGD step and are never decayed, as in the paper's code. A common peak is
    0.3 * batch size / 256 (Chen et al., SimCLR, 2020).

    Source: You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017.

    Attributes:
        momentum: Decay rate of the velocity.
        nesterov: Whether the gradient is taken at the look-ahead point.
        trust_coefficient: Norm of a step as a fraction of the norm of its matrix, at `lr` 1.
        weight_decay: Strength of the decay, which is part of the gradient and scaled with it.
    """

    TYPICAL_RATES = TypicalRates(1e-1, 1e1, 1e-2, "You et al., 2017; Chen et al., SimCLR, ICML 2020")
    LR_SCALING = "linear"

    kind: Literal["lars"] = "lars"
    lr: Positive = 1.0
    momentum: Fraction = 0.9
    nesterov: bool = False
    trust_coefficient: Positive = 1e-3
    weight_decay: NonNegative = 1e-4
    decay: Literal["matrices", "none"] = "matrices"
    decay_embeddings: bool = True


class LAMB(OptimizerKind):
    """AdamW whose step is `lr` times the norm of each parameter, with a maximum norm of 10.

    As in version 3 of the paper, there is no bias correction, since the norm would cancel it.

    Source: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020.

    Attributes:
        betas: Decay rates, per step, of the first and the second moment.
        eps: Added to the square root of the second moment.
        weight_decay: Strength of the decay, which is part of the update and scaled with it.
    """

    TYPICAL_RATES = TypicalRates(1e-3, 1e-2, 1e-4, "You et al., ICLR 2020")
    BOUNDED_STEP = True

    kind: Literal["lamb"] = "lamb"
    lr: Positive = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.01
    decay: Decay = "matrices"
    decay_embeddings: bool = True
