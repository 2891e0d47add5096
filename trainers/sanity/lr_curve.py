"""Suggest a learning rate from the losses of a learning-rate range test, which `lr_finder` runs.

Sources: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, increases the learning rate at every
step and observes the loss; Howard and Gugger, "fastai: A Layered API for Deep Learning", 2020, increases it
exponentially, smooths the loss and selects the steepest descent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 1e-7, 10.0
STEPS = 200
"""Number of steps, 25 per decade. A slower scan is fully trained before the best rate and suggests a lower one."""

SMOOTHING = 0.95
BLOW_UP = 4.0
_HALF_WINDOW = 0.5
"""Half the width of the fit of a slope, in decades. Between neighbouring steps, the slope is only noise."""

SETTLED = round(1.0 / (1.0 - SMOOTHING))
"""Number of steps after which the moving average is reliable; before, it averages only a few batches."""

_SIGMAS = 5.0
_LEAST_FALL = 0.01


@dataclass(frozen=True)
class Suggestion:
    """Learning rates that a range test suggests.

    Attributes:
        lr: Learning rate to start with: that of the steepest descent, rounded down to two digits.
        low: Lower end of the range to search.
        high: Upper end of the range: ten times ``steepest``, or the rate at the minimum of the smoothed loss if that is
            lower; at least twice ``steepest``, and never above the blow-up.
        steepest: Learning rate at which the smoothed loss falls fastest per decade.
        blow_up: Learning rate at which the smoothed loss is above four times its minimum or not finite; None if that
            never happens.
    """

    lr: float
    low: float
    high: float
    steepest: float
    blow_up: float | None

    @property
    def search_line(self) -> str:
        """Line with the range for the `search` section of a space file."""
        return f"optimizer.lr: {{loguniform: [{rate_text(self.low)}, {rate_text(self.high)}]}}"


@dataclass(frozen=True)
class LrScan:
    """Result of a range test.

    Attributes:
        task: Name of the task.
        optimizer: Kind of the optimizer.
        recipe_lr: `optimizer.lr` of the recipe.
        lrs: Value of `optimizer.lr` at every step, increasing.
        losses: Training loss at every step; the last one may be non-finite.
        smoothed: Moving average of the losses.
        suggestion: Suggested learning rates; None if the loss does not fall.
        seconds: Duration.
    """

    task: str
    optimizer: str
    recipe_lr: float
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: Suggestion | None
    seconds: float


def rates(steps: int = STEPS, low: float = LOWEST, high: float = HIGHEST) -> list[float]:
    """Return the learning rates of a scan: `steps` values with a constant ratio."""
    return [float(rate) for rate in np.geomspace(low, high, steps)]


def smooth(losses: Sequence[float], memory: float = SMOOTHING) -> list[float]:
    """Return the exponential moving average of losses, bias-corrected as in Adam.

    Args:
        losses: Loss of every step.
        memory: Weight of the previous average.
    """
    average, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = memory * average + (1.0 - memory) * loss
        smoothed.append(average / (1.0 - memory**step))
    return smoothed


def blown_up(smoothed: Sequence[float]) -> bool:
    """Return whether the last smoothed loss is above four times the minimum, or not finite."""
    settled = smoothed[SETTLED:]
    return not math.isfinite(smoothed[-1]) or (len(settled) > 1 and settled[-1] > BLOW_UP * min(settled))


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> Suggestion | None:
    """Suggest a learning rate from the losses of a scan.

    The slope at a rate is that of a line fitted to the smoothed losses within half a decade. Training progresses
    fastest at the steepest slope before the minimum. The rate at the minimum itself is too high, because the average
    lags behind the losses by most of a decade.

    Args:
        lrs: Learning rate of every step, increasing by a constant factor.
        losses: Loss of every step.

    Returns:
        The suggestion; None if the loss does not fall by more than its noise.
    """
    smoothed = smooth(losses)
    end = next((step for step in range(1, len(smoothed) + 1) if blown_up(smoothed[:step])), None)
    stable = np.asarray(smoothed[: len(smoothed) if end is None else end - 1])
    if len(stable) <= SETTLED:
        return None
    lowest = SETTLED + int(np.argmin(stable[SETTLED:]))
    if not _falls(np.asarray(losses)[: len(stable)], stable[lowest], lowest):
        return None
    part = slice(SETTLED, lowest + 1)
    steepest = float(lrs[SETTLED + int(np.argmin(_slopes(np.log10(np.asarray(lrs)[part]), stable[part])))])
    blow_up = None if end is None else float(lrs[end - 1])
    high = max(min(steepest * 10.0, float(lrs[lowest])), steepest * 2.0)
    return Suggestion(
        lr=_rounded_down(steepest, 2),
        low=_rounded_down(steepest / 10.0, 1),
        high=_rounded_down(high if blow_up is None else min(high, blow_up), 1),
        steepest=steepest,
        blow_up=blow_up,
    )


def _falls(losses: npt.NDArray[np.float64], minimum: float, lowest: int) -> bool:
    """Return whether the average falls to its minimum by more than the noise of the batches explains."""
    start = losses[:SETTLED].mean()
    # Differences of neighbours have twice the variance of a loss; the average reduces it by (1 - b) / (1 + b).
    noise = np.std(np.diff(losses[:lowest])) / math.sqrt(2.0)
    spread = noise * math.sqrt((1.0 - SMOOTHING) / (1.0 + SMOOTHING) + 1.0 / SETTLED)
    return bool(start - minimum > max(_SIGMAS * spread, _LEAST_FALL * start))


def _slopes(decades: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return, for every point, the slope per decade of a line fitted to its neighbours."""
    slopes = np.zeros(len(decades))
    for index, centre in enumerate(decades):
        near = np.abs(decades - centre) <= _HALF_WINDOW
        offsets = decades[near] - decades[near].mean()
        if near.sum() > 2:
            slopes[index] = (offsets @ values[near]) / (offsets @ offsets)
    return slopes


def _rounded_down(rate: float, digits: int) -> float:
    """Return a rate rounded down to a number of significant digits."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - digits + 1)
    return float(f"{math.floor(rate / unit * (1 + 1e-12)) * unit:.{digits - 1}e}")


def rate_text(rate: float) -> str:
    """Format a rate as in a space file: `3e-4`, `2.5e-3`, `0.1`."""
    if 0.01 <= rate < 1000:
        return f"{rate:.3g}"
    mantissa, _, exponent = f"{rate:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
