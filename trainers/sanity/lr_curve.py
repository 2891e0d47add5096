"""The losses of a learning-rate range test -> a learning rate. Numbers only; `lr_finder` makes them.

Sources: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, who raises the rate from step to step
and watches the loss; Howard and Gugger, "fastai: A Layered API for Deep Learning", 2020, whose finder raises it
exponentially, smooths the loss and takes the steepest descent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 1e-7, 10.0
STEPS = 200
"""25 a decade. A slower scan has learnt what there is to learn before it comes to the best rate, and suggests less."""

SMOOTHING = 0.95
BLOW_UP = 4.0
_HALF_WINDOW = 0.5
"""Decades to either side over which a slope is fitted: between neighbouring steps it is noise of the batches."""

SETTLED = round(1.0 / (1.0 - SMOOTHING))
"""Steps after which the average is of as many losses as it remembers; before, it is the luck of the first batches."""

_SIGMAS = 5.0
_LEAST_FALL = 0.01


@dataclass(frozen=True)
class Suggestion:
    """What a range test says.

    Attributes:
        lr: The learning rate to start from: that of the steepest descent, rounded down to two digits.
        low: Lower end of the range to search.
        high: Upper end: a factor of ten above, or the rate of the smoothed loss's minimum if that is lower; at least a
            factor of two, and never above the blow-up.
        steepest: Where the smoothed loss falls fastest per decade.
        blow_up: Where it is above four times its minimum, or no number; None if the scan ended before.
    """

    lr: float
    low: float
    high: float
    steepest: float
    blow_up: float | None

    @property
    def search_line(self) -> str:
        """The range as a line of a space file's `search` section."""
        return f"optimizer.lr: {{loguniform: [{rate_text(self.low)}, {rate_text(self.high)}]}}"


@dataclass(frozen=True)
class LrScan:
    """A range test.

    Attributes:
        task: What was trained.
        optimizer: Kind of the optimizer.
        recipe_lr: What the recipe has for `optimizer.lr`.
        lrs: Learning rate of every step, as `optimizer.lr` would be written; rising.
        losses: Training loss of every step; the last one may be no finite number.
        smoothed: Of the losses.
        suggestion: None when the loss falls nowhere.
        seconds: That it took.
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
    """Return the learning rates of a scan: `steps` of them, each the same factor above the one before."""
    return [float(rate) for rate in np.geomspace(low, high, steps)]


def smooth(losses: Sequence[float], memory: float = SMOOTHING) -> list[float]:
    """Return the exponential moving average of some losses, with Adam's correction for its start at zero.

    Args:
        losses: Of every step.
        memory: Weight of the past.
    """
    average, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = memory * average + (1.0 - memory) * loss
        smoothed.append(average / (1.0 - memory**step))
    return smoothed


def blown_up(smoothed: Sequence[float]) -> bool:
    """Whether the last of some smoothed losses is above four times their minimum, or no finite number."""
    settled = smoothed[SETTLED:]
    return not math.isfinite(smoothed[-1]) or (len(settled) > 1 and settled[-1] > BLOW_UP * min(settled))


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> Suggestion | None:
    """Choose a learning rate by the losses of a scan.

    The slope at a rate is that of a line through the smoothed losses within half a decade of it. The steepest one
    before the minimum is where a step of training helps most; the average lags by most of a decade behind the losses,
    so that the rate of its minimum itself is too high to train with.

    Args:
        lrs: Of every step, rising by the same factor.
        losses: As many.

    Returns:
        None when the loss does not fall by more than its noise: then there is nothing to choose by.
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
    """Whether an average falls to its minimum by more than the noise of the batches would make it."""
    start = losses[:SETTLED].mean()
    # Differences of neighbours have twice the variance of a loss; the average shrinks it by (1 - b) / (1 + b).
    noise = np.std(np.diff(losses[:lowest])) / math.sqrt(2.0)
    spread = noise * math.sqrt((1.0 - SMOOTHING) / (1.0 + SMOOTHING) + 1.0 / SETTLED)
    return bool(start - minimum > max(_SIGMAS * spread, _LEAST_FALL * start))


def _slopes(decades: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the slope per decade of a line through the neighbours of every point."""
    slopes = np.zeros(len(decades))
    for index, centre in enumerate(decades):
        near = np.abs(decades - centre) <= _HALF_WINDOW
        offsets = decades[near] - decades[near].mean()
        if near.sum() > 2:
            slopes[index] = (offsets @ values[near]) / (offsets @ offsets)
    return slopes


def _rounded_down(rate: float, digits: int) -> float:
    """Return the largest number of so many digits that is not above a rate."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - digits + 1)
    return float(f"{math.floor(rate / unit * (1 + 1e-12)) * unit:.{digits - 1}e}")


def rate_text(rate: float) -> str:
    """Return a rate as people write it in a space file: `3e-4`, `2.5e-3`, `0.1`."""
    if 0.01 <= rate < 1000:
        return f"{rate:.3g}"
    mantissa, _, exponent = f"{rate:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
