"""Schedules as pure functions from a step to a factor on the recipe's peak learning rate or weight decay.

There is no scheduler object and no scheduler state to checkpoint, because the factor depends only on the step. The
exception is reduce-on-plateau, whose state is ``PlateauState``.
"""

import math
from typing import NamedTuple, assert_never

from search_spaces.recipe.recipe import Budget
from search_spaces.recipe.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclical,
    Exponential,
    InverseSqrt,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    WarmupStableDecay,
    WeightDecaySchedule,
)


def warmup_steps(schedule: Schedule, total_steps: int) -> int:
    """Return the number of optimizer steps of the warmup.

    It is ``schedule.warmup_steps`` if given, else the fraction ``schedule.warmup`` of all steps, rounded to the nearest
    step with halves upwards: ``floor(warmup * total_steps + 0.5)``.
    """
    if isinstance(schedule, OneCycle | Cyclical):
        return 0
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    return _rounded(schedule.warmup * total_steps)


def factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Return the factor on the peak learning rate at a step.

    The warmup (Goyal et al., "Accurate, Large Minibatch SGD", 2017) increases linearly from 0 at step 0 to 1 at the
    first step after it. The decay then ends at ``min_factor`` at ``total_steps`` and stays there.

    Args:
        schedule: Schedule of the recipe. Of ``Plateau``, only the warmup is computed here; see ``PlateauState``.
        step: Number of optimizer steps done, from 0.
        total_steps: Number of optimizer steps of the *full* budget, even if early stopping ends the run earlier.

    Returns:
        Factor in ``[0, 1]``.
    """
    warmup = warmup_steps(schedule, total_steps)
    if step < warmup:
        return step / warmup
    after = step - warmup
    length = max(1, total_steps - warmup)
    progress = min(1.0, after / length)
    match schedule:
        case Cosine():
            return _between(schedule.min_factor, _half_cosine(progress))
        case Linear():
            return _between(schedule.min_factor, 1.0 - progress)
        case Constant() | Plateau():
            return 1.0
        case Polynomial():
            return _between(schedule.min_factor, math.pow(1.0 - progress, schedule.power))
        case Step():
            passed = sum(step >= _rounded(milestone * total_steps) for milestone in schedule.milestones)
            return math.pow(schedule.gamma, passed)
        case Exponential():
            return math.pow(schedule.min_factor, progress)
        case OneCycle():
            return _one_cycle(schedule, step, total_steps)
        case Cyclical():
            return _cyclical(schedule, step, total_steps)
        case CosineRestarts():
            return _restarts(schedule, after, length)
        case InverseSqrt():
            timescale = schedule.timescale or warmup or 10_000
            return 1.0 / math.sqrt(1.0 + after / timescale)
        case WarmupStableDecay():
            return _stable_decay(schedule, step, total_steps)
        case _:
            assert_never(schedule)


def _one_cycle(schedule: OneCycle, step: int, total_steps: int) -> float:
    low = 1.0 / schedule.div_factor
    lowest = low / schedule.final_div_factor
    peak = max(0.0, schedule.rise * total_steps - 1.0)  # so that the last step, not the one after it, is lowest
    shape = _half_cosine if schedule.anneal == "cosine" else _falling
    if step <= peak:
        return low + (1.0 - low) * (1.0 - shape(step / peak if peak else 1.0))
    if step >= total_steps - 1:
        return lowest
    return _between(lowest, shape((step - peak) / (total_steps - 1 - peak)))


def _cyclical(schedule: Cyclical, step: int, total_steps: int) -> float:
    cycle, position = divmod(step * schedule.cycles / total_steps, 1.0)
    height = 1.0 - abs(2.0 * position - 1.0)
    return _between(schedule.min_factor, height / (2.0**cycle if schedule.halve else 1.0))


def _restarts(schedule: CosineRestarts, after: int, length: int) -> float:
    cycle = max(1, _rounded(schedule.first_cycle * length))
    if schedule.multiplier == 1:
        after %= cycle
    else:
        while after >= cycle:
            after -= cycle
            cycle *= schedule.multiplier
    return _between(schedule.min_factor, _half_cosine(after / cycle))


def _stable_decay(schedule: WarmupStableDecay, step: int, total_steps: int) -> float:
    decay = max(1, _rounded(schedule.decay * total_steps))
    progress = min(1.0, max(0.0, (step - (total_steps - decay)) / decay))
    match schedule.shape:
        case "linear":
            remaining = 1.0 - progress
        case "cosine":
            remaining = _half_cosine(progress)
        case "1-sqrt":
            remaining = 1.0 - math.sqrt(progress)
    return _between(schedule.min_factor, remaining)


def weight_decay_factor(schedule: WeightDecaySchedule, step: int, total_steps: int) -> float:
    """Return the factor on the weight decay at a step: 1 at step 0, ``final_factor`` at ``total_steps``."""
    progress = min(1.0, step / total_steps)
    match schedule.kind:
        case "constant":
            return 1.0
        case "linear":
            return _between(schedule.final_factor, 1.0 - progress)
        case "cosine":
            return _between(schedule.final_factor, _half_cosine(progress))


def first_step(fraction: float, total_steps: int) -> int:
    """Return the first step at or after a fraction of all steps, without floating-point error: 7 for 0.7 of 10."""
    return math.ceil(round(fraction * total_steps, 6))


def batch_factor(budget: Budget) -> float:
    """Return the factor on the peak learning rate by the size of the effective batch."""
    ratio = budget.batch_size * budget.accumulation / budget.base_batch_size
    match budget.lr_scaling:
        case "none":
            return 1.0
        case "linear":
            return ratio
        case "sqrt":
            return math.sqrt(ratio)


class PlateauState(NamedTuple):
    """State of reduce-on-plateau between epochs.

    Attributes:
        factor: Factor on the peak learning rate.
        best: Lowest loss so far.
        bad_epochs: Number of epochs without improvement, except those of the cooldown.
        cooldown: Number of remaining epochs in which a missing improvement does not count.
    """

    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0
    cooldown: int = 0


def after_epoch(schedule: Schedule, state: PlateauState, loss: float) -> PlateauState:
    """Return the state after an epoch with this validation loss; unchanged for any other schedule."""
    if not isinstance(schedule, Plateau):
        return state
    better = loss < state.best * (1.0 - schedule.threshold)
    best = loss if better else state.best
    bad_epochs = 0 if better or state.cooldown else state.bad_epochs + 1
    cooldown = max(0, state.cooldown - 1)
    if bad_epochs <= schedule.patience:
        return PlateauState(state.factor, best, bad_epochs, cooldown)
    return PlateauState(max(schedule.min_factor, state.factor * schedule.gamma), best, 0, schedule.cooldown)


def _rounded(steps: float) -> int:
    return math.floor(steps + 0.5)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _falling(progress: float) -> float:
    return 1.0 - progress


def _between(low: float, position: float) -> float:
    """Interpolate linearly from ``low`` at position 0 to 1 at position 1."""
    return low + (1.0 - low) * position
