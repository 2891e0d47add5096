"""Every optimizer that a recipe can name: one frozen class a kind, each with its field's usual defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.types import Strict

from search_spaces.parts import Fraction, NonNegative, Part, Positive

Decay = Literal["all", "matrices", "none"]
"""Which parameters weight decay shrinks: all of them, weight matrices only (not biases, norm scales and
other one-dimensional parameters), or none."""

# YAML and JSON write a tuple as a list; the items stay strict.
Betas = Annotated[tuple[Fraction, Fraction], Strict(False)]


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
