"""Rules about the steps of a training: gradients, clipping, updates and the loss that it starts from."""

from __future__ import annotations

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity

CLIP_WARNING = 0.2  # of the steps after the warmup
CLIP_ERROR = 0.5  # Godbole et al., "Deep Learning Tuning Playbook", 2023: above it, lower the learning rate
NO_GRADIENT = 1e-7
WEAKEST_LAYER = 1e-3  # smallest over largest gradient norm of the layers
STRONGEST_LAYER = 70.0  # largest over smallest
LARGE_GRADIENT = 10.0  # norm of a whole gradient that is far above 1
UPDATES = (1e-4, 1e-1)  # |dw| / |w|; healthy near 1e-3 (Karpathy, Stanford CS231n notes, "Ratio of updates")
INIT_TOLERANCE = 0.2  # of ln K (the same notes, "Look for correct loss at chance performance")


def clipping(curves: Curves) -> Finding | None:
    """CLIP_HIGH: more than 20 % (warning) or 50 % (error) of the steps after the warmup are clipped; or none (info)."""
    rates = curves.without_warmup("train/clip_rate")
    if rates is None or not curves.clips:
        return None
    rate = float(rates.mean())
    if rate == 0.0:
        evidence = f"No step is clipped in the {len(rates)} epochs after the warmup."
        next_step = "A clipping ablation is void here: both arms are the same training."
        return Finding(Code.CLIP_HIGH, Severity.INFO, evidence, next_step)
    if rate <= CLIP_WARNING:
        return None
    worst = int(np.flatnonzero(curves.after_warmup)[np.argmax(rates)])
    return Finding(
        Code.CLIP_HIGH,
        Severity.ERROR if rate > CLIP_ERROR else Severity.WARNING,
        f"{rate:.0%} of the steps after the warmup are clipped, most at {curves.at(worst)}: {rates.max():.0%}.",
        "Lower the learning rate, or raise the norm that clips: the clip sets the step size, not the schedule.",
        int(curves.epochs[worst]),
    )


def gradient_explodes(curves: Curves) -> Finding | None:
    """GRAD_EXPLODE: one layer's gradient is above 70 times another's, and the whole is far above 1.

    A run records the smallest and the largest of its layers, not the first and the last. That the whole gradient is
    large as well tells an exploding end from a vanishing one.
    """
    norm, ratio = _gradients(curves)
    if norm is None or ratio is None or norm <= LARGE_GRADIENT or ratio * STRONGEST_LAYER >= 1.0:
        return None
    times = f"{1.0 / ratio:.0f} times" if ratio > 0.0 else "infinitely many times"
    return Finding(
        Code.GRAD_EXPLODE,
        Severity.ERROR,
        f"The strongest layer's gradient is {times} the weakest's, the whole has norm {norm:.3g}"
        f" (medians up to {curves.at(-1)}).",
        "Clip at norm 1.0, lower the learning rate, and look at initialisation, normalization and skip connections.",
    )


def gradient_vanishes(curves: Curves) -> Finding | None:
    """GRAD_VANISH: the gradient is below 1e-7, or one layer's is below 1/1000 of another's.

    The first is asked of the global norm, which is never below the mean of |g|: a stricter condition.
    """
    norm, ratio = _gradients(curves)
    if norm is None or norm > LARGE_GRADIENT:
        return None
    if norm < NO_GRADIENT:
        evidence = f"The gradient has norm {norm:.2g} (median up to {curves.at(-1)})."
    elif ratio is not None and ratio < WEAKEST_LAYER:
        evidence = (
            f"The weakest layer's gradient is {ratio:.2g} of the strongest's, of a norm of {norm:.3g}"
            f" (medians up to {curves.at(-1)})."
        )
    else:
        return None
    if _alive_at_first(curves):
        next_step = "It had a gradient in the first epoch: divide the learning rate by 3 to 10, clip at 1.0 or warm up."
    else:
        next_step = "Look for a detached layer; then normalization, skip connections, another activation or init."
    return Finding(Code.GRAD_VANISH, Severity.ERROR, evidence, next_step)


def _alive_at_first(curves: Curves) -> bool:
    """Whether every layer had a gradient in the first epoch: what died later was killed by its updates."""
    low, high = (curves.series.get(f"train/grad_norm_layer_{end}") for end in ("min", "max"))
    return low is not None and high is not None and bool(low[0] >= max(NO_GRADIENT, WEAKEST_LAYER * float(high[0])))


def _gradients(curves: Curves) -> tuple[float | None, float | None]:
    """Norm of the gradient and smallest over largest norm of the layers: medians after the warmup."""
    norms = curves.without_warmup("train/grad_norm")
    low, high = curves.without_warmup("train/grad_norm_layer_min"), curves.without_warmup("train/grad_norm_layer_max")
    norm = None if norms is None else float(np.median(norms))
    if low is None or high is None:
        return norm, None
    return norm, float(np.median(low / np.maximum(high, 1e-300)))


def update_ratio(curves: Curves) -> Finding | None:
    """UPDATE_RATIO: the median update is no 1e-4 of the weights, or more than 1e-1."""
    ratios = curves.without_warmup("train/update_ratio")
    if ratios is None:
        return None
    ratio = float(np.median(ratios))
    low, high = UPDATES
    if low <= ratio <= high:
        return None
    return Finding(
        Code.UPDATE_RATIO,
        Severity.WARNING,
        f"A step changes the weights by {ratio:.1e} of their norm (median up to {curves.at(-1)}), outside"
        f" [{low:.0e}, {high:.0e}].",
        "Raise the learning rate by 3 to 10." if ratio < low else "Divide the learning rate by 3 to 10.",
    )


def initial_loss(curves: Curves) -> Finding | None:
    """INIT_LOSS: the loss before the first step is off ln K by more than 20 %.

    Where nobody measured it, the first epoch's mean stands in, upwards only: it lies below the initial loss of a run
    that learns. Above it, the outputs may be too large at first or the learning rate too high: one sentence for both.
    """
    guess = curves.chance_loss
    if guess is None:
        return None
    if curves.initial_loss is not None:
        off = curves.initial_loss / guess - 1.0
        if abs(off) <= INIT_TOLERANCE:
            return None
        evidence = f"The loss before the first step is {curves.initial_loss:.3g}, {off:+.0%} off ln K = {guess:.3g}."
        next_step = "Scale the last layer's initial weights down, check its bias, the loss's reduction and the classes."
        return Finding(Code.INIT_LOSS, Severity.WARNING, evidence, next_step)
    losses = curves.series.get("train/loss")
    if losses is None or not len(losses) or curves.epochs[0] != 1 or losses[0] <= (1.0 + INIT_TOLERANCE) * guess:
        return None
    return Finding(
        Code.INIT_LOSS,
        Severity.WARNING,
        f"The training loss has a mean of {losses[0]:.3g} at {curves.at(0)},"
        f" {losses[0] / guess:.3g} times ln K = {guess:.3g}: outputs start too large, or the first steps are.",
        "Measure the loss before the first step: at ln K, warm up or lower the learning rate; else fix the init.",
        1,
    )
