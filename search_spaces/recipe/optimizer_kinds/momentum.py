"""Optimizers whose only state is the momentum: SGD and Lion."""

from typing import Literal, Self

from pydantic import model_validator

from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind, TypicalRates
from search_spaces.recipe.part import Betas, Decay, Fraction, NonNegative, Positive


class SGD(OptimizerKind):
    """Stochastic gradient descent with momentum.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Attributes:
        momentum: Decay rate of the velocity; 0 is no momentum.
        nesterov: Whether the gradient is taken at the look-ahead point; needs momentum.
        weight_decay: Strength of the decay (for SGD, L2 and decoupled decay differ only in scale).
    """

    TYPICAL_RATES = TypicalRates(1e-2, 1e-1, 1e-3, "Goyal et al., 2017")
    LR_SCALING = "linear"

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


class Lion(OptimizerKind):
    """The sign of an interpolated momentum: every weight moves by exactly `lr`, with half of Adam's memory.

    The paper recommends a learning rate 3 to 10 times lower than that of `AdamW` and a decay higher by the same factor.
    The defaults here differ from those of `AdamW` by a factor of ten.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.

    Attributes:
        lr: Peak learning rate, the distance that a weight moves in a step.
        betas: Weight of the momentum in the sign, and decay rate of the momentum per step.
    """

    TYPICAL_RATES = TypicalRates(1e-5, 3e-4, 1e-6, "Chen et al., NeurIPS 2023")
    ENTRYWISE = True
    BOUNDED_STEP = True

    kind: Literal["lion"] = "lion"
    lr: Positive = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: NonNegative = 0.1
    decay: Decay = "matrices"
    decay_embeddings: bool = True
