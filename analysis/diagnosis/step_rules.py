"""Rules about the steps of a training: gradients, clipping, updates and the initial loss."""

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity
from search_spaces.values import counted
from trainers.sanity.thresholds import LOSS_TOLERANCE, initial_losses

CLIP_WARNING = 0.2  # share of the steps after the warmup
CLIP_ERROR = 0.5  # Godbole et al., "Deep Learning Tuning Playbook", 2023: above this, lower the learning rate
NO_GRADIENT = 1e-7
WEAKEST_LAYER = 1e-3  # smallest / largest gradient norm of the layers
STRONGEST_LAYER = 70.0  # largest / smallest
LARGE_GRADIENT = 10.0  # norm of the whole gradient that counts as far above 1
UPDATES = (1e-4, 1e-1)  # |dw| / |w|; healthy near 1e-3 (Karpathy, Stanford CS231n notes, "Ratio of updates")


def clipping(curves: Curves) -> Finding | None:
    """CLIP_HIGH: more than 20 % (warning) or 50 % (error) of the steps after the warmup are clipped, or none (info)."""
    rates = curves.without_warmup("train/clip_rate")
    if rates is None or not curves.clips:
        return None
    rate = float(rates.mean())
    if rate == 0.0:
        evidence = f"No step is clipped in {counted(len(rates), curves.record)} after the warmup."
        next_step = "An ablation of clipping would compare identical trainings here."
        return Finding(Code.CLIP_HIGH, Severity.INFO, evidence, next_step)
    if rate <= CLIP_WARNING:
        return None
    worst = int(np.flatnonzero(curves.after_warmup)[np.argmax(rates)])
    return Finding(
        Code.CLIP_HIGH,
        Severity.ERROR if rate > CLIP_ERROR else Severity.WARNING,
        f"{rate:.0%} of the steps after the warmup are clipped (maximum {rates.max():.0%} at {curves.at(worst)}).",
        "Lower the learning rate or raise the clipping norm: clipping sets the step size instead of the schedule.",
        int(curves.epochs[worst]),
    )


def gradient_explodes(curves: Curves) -> Finding | None:
    """GRAD_EXPLODE: one layer's gradient is more than 70 times another's, and the whole gradient is far above 1.

    A run records the smallest and the largest norm of its layers, not the first and the last. The size of the whole
    gradient distinguishes an exploding gradient from a vanishing one.
    """
    norm, ratio = _gradients(curves)
    if norm is None or ratio is None or norm <= LARGE_GRADIENT or ratio * STRONGEST_LAYER >= 1.0:
        return None
    times = f"{1.0 / ratio:.0f} times" if ratio > 0.0 else "infinitely many times"
    return Finding(
        Code.GRAD_EXPLODE,
        Severity.ERROR,
        f"The largest gradient norm of a layer is {times} the smallest, and the whole gradient has norm {norm:.3g}"
        f" (medians up to {curves.at(-1)}).",
        "Clip at norm 1.0 and lower the learning rate; check initialization, normalization and skip connections.",
    )


def gradient_vanishes(curves: Curves) -> Finding | None:
    """GRAD_VANISH: the gradient is below 1e-7, or one layer's is below 1/1000 of another's.

    The first condition uses the global norm, which is never below the mean of |g|, so it is stricter.
    """
    norm, ratio = _gradients(curves)
    if norm is None or norm > LARGE_GRADIENT:
        return None
    if norm < NO_GRADIENT:
        evidence = f"The gradient has norm {norm:.2g} (median up to {curves.at(-1)})."
    elif ratio is not None and ratio < WEAKEST_LAYER:
        evidence = (
            f"The smallest gradient norm of a layer is {ratio:.2g} times the largest, and the whole gradient has norm"
            f" {norm:.3g} (medians up to {curves.at(-1)})."
        )
    else:
        return None
    if _alive_at_first(curves):
        next_step = (
            f"All layers had a gradient in the first {curves.record}: divide the learning rate by 3 to 10, clip"
            " gradients at norm 1.0, or add a warmup."
        )
    else:
        next_step = (
            "Look for a detached layer; then try normalization, skip connections, another activation or initialization."
        )
    return Finding(Code.GRAD_VANISH, Severity.ERROR, evidence, next_step)


def _alive_at_first(curves: Curves) -> bool:
    """Return whether every layer had a gradient in the first epoch; if so, later updates made it vanish."""
    low, high = (curves.series.get(f"train/grad_norm_layer_{end}") for end in ("min", "max"))
    return low is not None and high is not None and bool(low[0] >= max(NO_GRADIENT, WEAKEST_LAYER * float(high[0])))


def _gradients(curves: Curves) -> tuple[float | None, float | None]:
    """Return the gradient norm, and the smallest / largest norm of the layers: medians after the warmup."""
    norms = curves.without_warmup("train/grad_norm")
    low, high = curves.without_warmup("train/grad_norm_layer_min"), curves.without_warmup("train/grad_norm_layer_max")
    norm = None if norms is None else float(np.median(norms))
    if low is None or high is None:
        return norm, None
    return norm, float(np.median(low / np.maximum(high, 1e-300)))


def update_ratio(curves: Curves) -> Finding | None:
    """UPDATE_RATIO: the median norm of an update is below 1e-4 of that of the weights, or above 1e-1."""
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
    """INIT_LOSS: the loss before the first step differs from those of constant predictions by more than 20 % of ln K.

    If it was not measured, the mean of the first epoch is used, for values above ln K only, because learning makes it
    smaller than the initial loss. The cause may be large initial outputs or a learning rate that is too high.
    """
    guess, entropy = curves.uniform_loss, curves.chance_loss
    if guess is None or entropy is None or curves.classes is None:
        return None
    if curves.initial_loss is not None:
        low, high = initial_losses(curves.classes, entropy)
        if low <= curves.initial_loss <= high:
            return None
        off = curves.initial_loss / guess - 1.0
        evidence = (
            f"The loss before the first step is {curves.initial_loss:.3g}, {off:+.0%} relative to ln K = {guess:.3g}."
        )
        next_step = (
            "Scale down the last layer's initial weights; check its bias, the loss reduction and the class count."
        )
        return Finding(Code.INIT_LOSS, Severity.WARNING, evidence, next_step)
    losses = curves.series.get("train/loss")
    if losses is None or not len(losses) or not _from_start(curves) or losses[0] <= (1.0 + LOSS_TOLERANCE) * guess:
        return None
    return Finding(
        Code.INIT_LOSS,
        Severity.WARNING,
        f"The mean training loss at {curves.at(0)} is {losses[0]:.3g}, {losses[0] / guess:.3g} times ln K ="
        f" {guess:.3g}: the initial outputs or the first steps are too large.",
        "Measure the loss before the first step: if it is near ln K, add a warmup or lower the learning rate; otherwise"
        " fix the initialization.",
        int(curves.epochs[0]),
    )


def _from_start(curves: Curves) -> bool:
    """Return whether the first record is that of the first epoch or of the first steps."""
    return curves.unit == "step" or bool(curves.epochs[0] == 1)
