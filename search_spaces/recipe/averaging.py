"""The averaged or selected weights that are evaluated in addition to those of the last step."""

import math
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.part import Fraction, Part, Positive


class NoAverage(Part):
    """Only the weights of the last step."""

    kind: Literal["none"] = "none"


class EMA(Part):
    """An exponential moving average of the weights, updated at every optimizer step.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; Izmailov et al., 2018.

    Attributes:
        decay: Share of the average that is kept at each step; it covers about `1 / (1 - decay)` steps.
        start: Fraction of all optimizer steps before averaging starts, so that the initial weights have no influence.
    """

    kind: Literal["ema"] = "ema"
    decay: Fraction = 0.999
    start: Fraction = 0.0


class SWA(Part):
    """The mean of the weights at the ends of the last epochs or, with a budget of steps, at the last reports.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018.

    Attributes:
        last: Fraction of the budget's epochs (or reports) that are averaged, at least one.
        lr: Constant learning rate in these epochs (before these reports); None keeps the schedule.
    """

    kind: Literal["swa"] = "swa"
    last: Annotated[float, Field(gt=0, le=1)] = 0.25
    lr: Positive | None = None

    def first(self, reports: int) -> int:
        """Return the first epoch or report, from 0, that is averaged in a training of so many."""
        return reports - max(1, math.floor(self.last * reports + 0.5))


class Best(Part):
    """The weights of the report with the lowest `val/nll` so far, evaluated in addition to those of the last step.

    Unlike `patience.restore_best`, this neither stops the training nor changes its final weights.

    Source: Prechelt, "Early Stopping - But When?", 1998.
    """

    kind: Literal["best"] = "best"


Averaging = Annotated[NoAverage | EMA | SWA | Best, Field(discriminator="kind")]
