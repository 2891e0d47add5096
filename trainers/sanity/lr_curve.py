"""Suggest a learning rate from a learning-rate range test and short trainings, which `lr_finder` runs.

Sources: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, increases the learning rate at every
step and observes the loss; Howard and Gugger, "fastai: A Layered API for Deep Learning", 2020, increases it
exponentially, smooths the loss and selects the steepest descent. The short trainings compare rates a factor of sqrt 10
apart, as successive halving compares its first rung (Jamieson and Talwalkar, AISTATS 2016).

Both margins were chosen on the calibration tasks of `benchmarks/lr_find_tasks.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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

SCAN_MARGIN = 3.0
"""The steepest descent divided by the suggestion: a scan ends before a rate that is too high does its damage."""

RATIO = math.sqrt(10.0)
"""Ratio of neighbouring rates of the short trainings."""

FEWEST_RUNS, MOST_RUNS = 3, 7
SHARE = 0.1  # of the steps of a run
ALMOST_BEST = 0.95
"""Share of the best fall of a short training that a lower rate may be chosen with: over a whole run it is safer."""

FEWEST_STEPS = 100


@dataclass(frozen=True)
class Suggestion:
    """Learning rates that a range test suggests.

    Attributes:
        lr: Learning rate to start with, rounded down to two digits: ``trained`` or ``steepest``, divided by ``margin``.
        low: Lower end of the range to search.
        high: Upper end of the range: ten times ``trained``. Without it, ten times ``steepest``, or the rate at the
            minimum of the smoothed loss if that is lower; at least twice ``steepest``. Never above the blow-up.
        steepest: Learning rate at which the smoothed loss falls fastest per decade; None if it does not fall, but that
            of a short training does.
        blow_up: Learning rate at which the smoothed loss is above four times its minimum or not finite; None if that
            never happens.
        trained: Learning rate chosen from the short trainings; None if there was none, or none learned anything.
        margin: Factor by which the suggestion is below that rate or, without it, below ``steepest``.
    """

    lr: float
    low: float
    high: float
    steepest: float | None
    blow_up: float | None
    trained: float | None = None
    margin: float = SCAN_MARGIN

    @property
    def search_line(self) -> str:
        """Line with the range for the `search` section of a space file."""
        return f"optimizer.lr: {{loguniform: [{rate_text(self.low)}, {rate_text(self.high)}]}}"

    @property
    def origin(self) -> str:
        """How the suggestion was made."""
        if self.trained is not None:
            return f"that of the short trainings, {rate_text(self.trained)}, divided by {self.margin:.2g}"
        return f"the steepest descent, {rate_text(self.steepest or self.lr)}, divided by {self.margin:.2g}"


@dataclass(frozen=True)
class ShortRun:
    """A short training with the recipe and its schedule.

    Attributes:
        lr: Learning rate.
        loss: Loss on `val` at the end; None if the training diverged.
    """

    lr: float
    loss: float | None

    @property
    def order(self) -> tuple[float, float]:
        """Key that sorts the best first; of those that diverged, the lowest rate."""
        return (math.inf if self.loss is None else self.loss, self.lr)


@dataclass(frozen=True)
class LrPlan:
    """Number of steps that a suggestion costs.

    Attributes:
        scan_steps: Steps of the range test.
        short_steps: Steps of each short training; 0 without short trainings.
        run_steps: Steps of a run of the recipe.
    """

    scan_steps: int
    short_steps: int
    run_steps: int

    @property
    def margin(self) -> float:
        """Rate of the best short training divided by the suggestion: the best rate falls with the number of steps."""
        return math.sqrt(self.run_steps / self.short_steps)


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
        seconds: Duration of the range test.
        runs: Short trainings in the order in which they were made.
    """

    task: str
    optimizer: str
    recipe_lr: float
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: Suggestion | None
    seconds: float
    runs: tuple[ShortRun, ...] = ()


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
        lr=_rounded_down(steepest / SCAN_MARGIN, 2),
        low=_rounded_down(steepest / SCAN_MARGIN / 10.0, 1),
        high=_rounded_down(high if blow_up is None else min(high, blow_up), 1),
        steepest=steepest,
        blow_up=blow_up,
    )


def short_steps(run_steps: int) -> int:
    """Return the number of steps of a short training: a tenth of a run, at least 100, and no more than a run."""
    return min(run_steps, max(FEWEST_STEPS, round(SHARE * run_steps)))


def next_rate(start: float, runs: Sequence[ShortRun]) -> float | None:
    """Return the rate of the next short training; None if the best of them has a worse one on either side.

    Args:
        start: Rate of the first short training.
        runs: Short trainings so far.
    """
    if not runs:
        return start
    tried, best = [run.lr for run in runs], min(runs, key=lambda run: run.order).lr
    if len(runs) >= MOST_RUNS or min(tried) < best < max(tried):
        return None
    return best / RATIO if best == min(tried) else best * RATIO


def after_training(scan: LrScan, plan: LrPlan, runs: Sequence[ShortRun]) -> LrScan:
    """Return a scan with its short trainings, and the suggestion that follows from both."""
    before, trained = scan.suggestion, _chosen(float(np.mean(scan.losses[:SETTLED])), runs)
    if trained is None:
        return replace(scan, runs=tuple(runs))
    lr, high = trained / plan.margin, trained * 10.0
    blow_up = before.blow_up if before else None
    found = Suggestion(
        lr=_rounded_down(lr, 2),
        low=_rounded_down(lr / 10.0, 1),
        high=_rounded_down(high if blow_up is None else max(trained, min(high, blow_up)), 1),
        steepest=before.steepest if before else None,
        blow_up=blow_up,
        trained=trained,
        margin=plan.margin,
    )
    return replace(scan, suggestion=found, runs=tuple(runs))


def _chosen(first: float, runs: Sequence[ShortRun]) -> float | None:
    """Return the lowest rate with almost the best fall of the loss from its first value; None if none falls."""
    losses = {run.lr: run.loss for run in runs if run.loss is not None}
    best = min(losses.values(), default=math.inf)
    if best > (1.0 - _LEAST_FALL) * first:
        return None
    return min(lr for lr, loss in losses.items() if first - loss >= ALMOST_BEST * (first - best))


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
