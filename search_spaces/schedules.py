"""Every learning-rate schedule that a recipe can name; trainers/schedules.py has their formulas."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from search_spaces.parts import Fraction, Part, Steps


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
