"""Optimizers that use more than the size of past gradients of each weight: Sophia, Shampoo and Muon."""

from typing import ClassVar, Literal

from search_spaces.recipe.optimizer_kinds.adaptive import AdamW
from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind, TypicalRates
from search_spaces.recipe.part import Betas, Count, Decay, Fraction, NonNegative, Positive


class Sophia(OptimizerKind):
    """Momentum divided by an estimate of the Hessian's diagonal, clipped weight by weight: Sophia-H.

    No weight moves by more than `lr * clip` in a step. The default of 6e-4 is comparable with the `lr` of `AdamW`.
    Every `curvature_every` steps the gradient itself is differentiated, which costs about two backward passes and the
    memory of the whole graph. All layers of the model must be twice differentiable.

    Source: Liu et al., "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model
    Pre-training", ICLR 2024.

    Attributes:
        betas: Decay rates, per step and per estimate, of the momentum and of the curvature.
        clip: Maximum quotient of momentum and curvature.
        curvature_every: Number of steps between two estimates of the curvature.
        eps: Smallest curvature.
    """

    # These are rates of lr * clip, the largest step of a weight, which is comparable with the rate of AdamW.
    TYPICAL_RATES = TypicalRates(1e-4, 3e-3, 1e-5, "Liu et al., ICLR 2024")
    BOUNDED_STEP = True
    SECOND_ORDER = True

    kind: Literal["sophia"] = "sophia"
    lr: Positive = 0.06
    betas: Betas = (0.96, 0.99)
    clip: Positive = 0.01
    curvature_every: Count = 10
    eps: Positive = 1e-12
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True

    def typical_rates(self) -> TypicalRates:
        low, high, gentle, source = self.TYPICAL_RATES
        return TypicalRates(low / self.clip, high / self.clip, gentle / self.clip, source)


class Shampoo(OptimizerKind):
    """The gradient multiplied, along each of its dimensions, by a root of that dimension's second moment.

    The root of a dimension of size n needs a singular value decomposition of an n x n matrix, which limits layers to a
    few hundred units.

    Source: Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization", ICML 2018. The
    paper tunes the learning rate per problem. As in Adagrad, the steps become smaller over time.

    Attributes:
        eps: Initial value of the diagonals of the second moments.
        roots_every: Number of steps between two computations of the roots.
    """

    TYPICAL_RATES = TypicalRates(1e-2, 1.0, 1e-3, "Gupta et al., ICML 2018")

    kind: Literal["shampoo"] = "shampoo"
    lr: Positive = 0.1
    eps: Positive = 1e-4
    roots_every: Count = 1
    weight_decay: NonNegative = 0.0
    decay: Decay = "matrices"
    decay_embeddings: bool = True


class Muon(OptimizerKind):
    """Orthogonalized momentum for the weight matrices of hidden layers, AdamW for everything else.

    AdamW trains embedding tables, the head, biases, norms, and tensors of more than two dimensions such as the kernels
    of convolutions. Both follow the same schedule, each from its own peak.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; `match_rms_adamw`
    is from Liu et al., "Muon is Scalable for LLM Training", 2025.

    Attributes:
        lr: Peak learning rate of the hidden matrices.
        momentum: Decay rate of the velocity.
        nesterov: Whether the gradient is taken at the look-ahead point.
        newton_schulz_steps: Number of iterations of the orthogonalization.
        adjust_lr: Dependence of the step on the shape of the matrix: `original` scales it by the root of the aspect
            ratio of tall matrices; with `match_rms_adamw`, the `lr` and the decay of AdamW can be reused.
        adamw_lr: Peak learning rate of everything else.
        adamw_betas: Decay rates of the moments of everything else.
        adamw_eps: Added to the square root of the second moment of everything else.
        weight_decay: Strength of the decoupled decay in both.
    """

    TYPICAL_RATES = TypicalRates(5e-3, 5e-2, 5e-4, "Jordan et al., 2024")
    OTHER_RATES: ClassVar = {"adamw_lr": "adamw"}

    kind: Literal["muon"] = "muon"
    lr: Positive = 0.02
    momentum: Fraction = 0.95
    nesterov: bool = True
    newton_schulz_steps: Count = 5
    adjust_lr: Literal["original", "match_rms_adamw"] = "original"
    adamw_lr: Positive = 3e-4
    adamw_betas: Betas = (0.9, 0.95)
    adamw_eps: Positive = 1e-10
    weight_decay: NonNegative = 0.01
    decay: Decay = "matrices"
    decay_embeddings: bool = True

    def typical_rates(self) -> TypicalRates:
        return AdamW.TYPICAL_RATES if self.adjust_lr == "match_rms_adamw" else self.TYPICAL_RATES
