"""Every learning-rate schedule that a recipe can name; trainers/optim/schedules.py has the formulas."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.types import Strict

from search_spaces.recipe.part import Count, Fraction, NonNegative, Part, Positive, Steps

_Share = Annotated[float, Field(gt=0, le=1)]
_Inside = Annotated[float, Field(gt=0, lt=1)]
_AtLeastOne = Annotated[float, Field(ge=1)]


class _Warmup(Part):
    """Linear warmup from 0, which reaches the peak exactly at its end.

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
                f"must not have both warmup and warmup_steps, found {self.warmup} and {self.warmup_steps};"
                " set warmup to 0 or warmup_steps to null"
            )
        return self


class Cosine(_Warmup):
    """Half a cosine from the peak down to `min_factor` times the peak, at the last step.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Attributes:
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["cosine"] = "cosine"
    min_factor: Fraction = 0.0


class Linear(_Warmup):
    """A straight line from the peak down to `min_factor` times the peak, at the last step.

    Attributes:
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["linear"] = "linear"
    min_factor: Fraction = 0.0


class Constant(_Warmup):
    """The peak, from the end of the warmup."""

    kind: Literal["constant"] = "constant"


class Polynomial(_Warmup):
    """Linear decay raised to a power, down to `min_factor` times the peak.

    Source: Chen et al., "DeepLab", TPAMI 2018, for powers below 1.

    Attributes:
        power: Exponent; 1 is `linear`.
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["polynomial"] = "polynomial"
    power: Positive = 2.0
    min_factor: Fraction = 0.0


class Step(_Warmup):
    """Multiply the rate by `gamma` at each milestone.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Attributes:
        milestones: Fractions of all optimizer steps, ascending.
        gamma: Factor at each milestone.
    """

    kind: Literal["step"] = "step"
    milestones: Annotated[tuple[_Inside, ...], Strict(False)] = (0.3, 0.6, 0.9)
    gamma: _Inside = 0.1

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise ValueError(f"milestones must ascend, found {list(self.milestones)}")
        return self


class Exponential(_Warmup):
    """Multiply the rate by the same factor at every step, so that the last step reaches `min_factor` times the peak.

    Attributes:
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["exponential"] = "exponential"
    min_factor: _Inside = 0.01


class OneCycle(Part):
    """One rise to the peak, which acts as the warmup, and one fall to far below the initial rate.

    Source: Smith and Topin, "Super-Convergence", 2018. The momentum is not changed.

    Attributes:
        rise: Fraction of all optimizer steps that the rise takes.
        div_factor: The peak divided by the first learning rate.
        final_div_factor: The first learning rate divided by the last.
        anneal: Shape of both halves.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    rise: _Inside = 0.3
    div_factor: _AtLeastOne = 25.0
    final_div_factor: _AtLeastOne = 1e4
    anneal: Literal["cosine", "linear"] = "cosine"


class Cyclical(Part):
    """Triangles between `min_factor` times the peak and the peak.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.

    Attributes:
        cycles: Number of triangles in the whole budget.
        min_factor: Lowest learning rate as a factor of the peak.
        halve: Whether each triangle is half as high as the previous one ("triangular2").
    """

    kind: Literal["cyclical"] = "cyclical"
    cycles: Count = 4
    min_factor: Fraction = 0.1
    halve: bool = False


class CosineRestarts(_Warmup):
    """Half cosines from the peak down to `min_factor` times the peak, one after the other.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Attributes:
        first_cycle: Length of the first cycle as a fraction of the steps after the warmup.
        multiplier: Length of each cycle divided by that of the previous one.
        min_factor: Lowest learning rate as a factor of the peak.
    """

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    first_cycle: _Share = 0.25
    multiplier: Count = 1
    min_factor: Fraction = 0.0


class InverseSqrt(_Warmup):
    """Decay with the inverse square root of the step, independent of the budget.

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; Raffel et al., T5, JMLR 2020.

    Attributes:
        timescale: Number of steps for which the rate stays near the peak; None uses the length of the warmup, or 10,000
            without a warmup.
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    timescale: Count | None = None


class WarmupStableDecay(_Warmup):
    """The peak for most of the training, then a short decay to `min_factor` times the peak.

    Source: Hu et al., "MiniCPM", COLM 2024; Haegele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed
    Training Durations", NeurIPS 2024, for the shape `1-sqrt`.

    Attributes:
        decay: Fraction of all optimizer steps that the decay takes, at the end.
        shape: Shape of the decay.
        min_factor: Final learning rate as a factor of the peak.
    """

    kind: Literal["wsd"] = "wsd"
    decay: _Share = 0.2
    shape: Literal["linear", "cosine", "1-sqrt"] = "linear"
    min_factor: Fraction = 0.0


class Plateau(_Warmup):
    """Multiply the rate by `gamma` when `val/nll` has not improved for more than `patience` epochs.

    With a budget of steps, the reports are counted instead of the epochs.

    Attributes:
        gamma: Factor of each reduction.
        patience: Number of epochs without improvement that are tolerated.
        threshold: Share of the best value that an improvement must exceed.
        cooldown: Number of epochs after a reduction that are not counted.
        min_factor: Lowest learning rate as a factor of the peak.
    """

    kind: Literal["plateau"] = "plateau"
    gamma: _Inside = 0.1
    patience: Steps = 5
    threshold: Fraction = 1e-4
    cooldown: Steps = 0
    min_factor: Fraction = 0.0


Schedule = Annotated[
    Cosine
    | Linear
    | Constant
    | Polynomial
    | Step
    | Exponential
    | OneCycle
    | Cyclical
    | CosineRestarts
    | InverseSqrt
    | WarmupStableDecay
    | Plateau,
    Field(discriminator="kind"),
]


class WeightDecaySchedule(Part):
    """Schedule of the weight decay of every parameter group, relative to its value at the first step.

    Source: Caron et al., DINO, ICCV 2021, who increase it tenfold by a cosine.

    Attributes:
        kind: Shape of the schedule.
        final_factor: Weight decay at the end divided by that at the start; may be above 1.
    """

    kind: Literal["constant", "linear", "cosine"] = "constant"
    final_factor: NonNegative = 0.0
