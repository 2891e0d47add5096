"""Learning-rate schedules as pure functions: step -> factor on the recipe's peak learning rate.

There is no scheduler object, hence no scheduler state to checkpoint: the position of a training says it all.
"""

from __future__ import annotations

import math
from typing import assert_never

from search_spaces.schedules import Constant, Cosine, Linear, Schedule


def warmup_steps(schedule: Schedule, total_steps: int) -> int:
    """Return how many optimizer steps the warmup takes.

    ``schedule.warmup_steps`` is taken as it is when given. Otherwise the fraction ``schedule.warmup`` of all
    steps is rounded to the nearest whole step, halves upwards: ``floor(warmup * total_steps + 0.5)``.
    """
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    return math.floor(schedule.warmup * total_steps + 0.5)


def factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Return the factor on the peak learning rate that step number ``step`` trains with.

    The warmup rises linearly from 0 at step 0 to 1 at the step that follows it; the decay then runs to
    ``min_factor`` at ``total_steps`` and stays there. Cosine decay without restarts is from Loshchilov &
    Hutter, "SGDR" (2017); linear warmup from Goyal et al., "Accurate, Large Minibatch SGD" (2017).

    Args:
        schedule: The recipe's schedule.
        step: Optimizer steps done so far, from 0.
        total_steps: Optimizer steps of the *full* budget, wherever early stopping may end the run.

    Returns:
        A number in ``[0, 1]``.
    """
    warmup = warmup_steps(schedule, total_steps)
    if step < warmup:
        return step / warmup
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    match schedule:
        case Cosine():
            return _between(schedule.min_factor, 0.5 * (1.0 + math.cos(math.pi * progress)))
        case Linear():
            return _between(schedule.min_factor, 1.0 - progress)
        case Constant():
            return 1.0
        case _:
            assert_never(schedule)


def _between(low: float, position: float) -> float:
    """Return the point at ``position`` (0 to 1) on the way from ``low`` to 1."""
    return low + (1.0 - low) * position
