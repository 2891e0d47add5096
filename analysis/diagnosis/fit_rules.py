"""Rules about fit and budget: CHANCE, UNDERFIT, OVERFIT, VAL_BETTER, TOO_LONG, UNDERTRAINED, PLATEAU."""

import math
from typing import NamedTuple

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.diagnosis.smoothing import FloatArray, centred_mean, noise, theil_sen

NEAR_CHANCE = 0.1  # share of the loss of always predicting the shares of the classes
STANDARD_ERRORS = 2.0
REAL_CHANGE = 0.02  # share of a loss, as for the generalization loss in Prechelt, "Early Stopping - But When?", 1998
SIGMAS = 2.0
LAST_EVALS = 3
GAP = 0.5  # nats between validation and training loss above which the gap is reported
GAP_WINDOW = 10
ALMOST_ALL = 0.9  # share of the epochs; below 1 to allow for noise
DISPERSION = 1.5  # standard deviation / mean of the losses of single examples: 1 if exponential, more with outliers
FIRST = 0.1  # share of the records
LAST = 0.1
QUARTER = 0.25
MIN_QUARTER = 5  # with fewer records a slope has no 95 % interval


def chance(curves: Curves) -> Finding | None:
    """CHANCE: the final validation accuracy is at most that of the most frequent class plus 2 standard errors.

    The final accuracy is the median of the last quarter, because the best epoch of a guessing model is above chance.
    """
    accuracy, majority = curves.val_accuracy, curves.chance_accuracy
    if accuracy is None or majority is None:
        return None
    reached = float(np.median(accuracy[-_quarter(len(accuracy)) :]))
    limit = majority + STANDARD_ERRORS * math.sqrt(majority * (1.0 - majority) / curves.examples)
    if reached > limit:
        return None
    return Finding(
        Code.CHANCE,
        Severity.ERROR,
        f"The median validation accuracy of the last quarter, up to {curves.at(-1)}, is {reached:.1%}; guessing"
        f" reaches {limit:.1%} (most frequent class {majority:.1%} + 2 standard errors).",
        "Try to overfit one batch: if that fails, check labels, inputs and loss; otherwise lower the learning rate.",
        int(curves.epochs[-1]),
    )


def underfit(curves: Curves) -> Finding | None:
    """UNDERFIT: the training loss ends within 10 % of predicting the class shares, and so does the validation loss.

    The second condition was added because mixup and label smoothing keep the training loss of a good model high.
    """
    train, val, guess = curves.train_loss, curves.val_loss, curves.chance_loss
    if train is None or guess is None:
        return None
    limit = (1.0 - NEAR_CHANCE) * guess
    reached = float(train[-LAST_EVALS:].mean())
    if reached < limit or (val is not None and float(val[-LAST_EVALS:].mean()) < limit):
        return None
    return Finding(
        Code.UNDERFIT,
        Severity.WARNING,
        f"The mean training loss of the last {LAST_EVALS} {curves.record}s, up to {curves.at(-1)}, is {reached:.3g},"
        f" within 10 % of {curves.chance_name} = {guess:.3g}.",
        "Raise the learning rate if the loss never moved, lower it if it jumped; then enlarge the model or add"
        f" {curves.unit}s.",
        int(curves.epochs[-1]),
    )


def overfit(curves: Curves) -> Finding | None:
    """OVERFIT: the validation loss ends above its minimum while the training loss falls, and the accuracy falls."""
    rise = _rise(curves)
    if rise is None or rise.accuracy_holds:
        return None
    keep = "let the program keep its best checkpoint" if curves.command else "use patience to keep the best weights"
    next_step = f"Try more weight decay, then augmentation, then dropout; or {keep}."
    return Finding(Code.OVERFIT, Severity.WARNING, f"{rise.evidence}.", next_step, rise.epoch)


def overfit_confidence(curves: Curves) -> Finding | None:
    """OVERFIT_CONFIDENCE: the same without a loss of accuracy: only the calibration becomes worse."""
    rise = _rise(curves)
    if rise is None or not rise.accuracy_holds:
        return None
    evidence = f"{rise.evidence}, but the accuracy is maintained: the model becomes overconfident."
    next_step = "Train for fewer epochs or regularize more if the loss matters; the predictions are no worse."
    if "val/nll" in curves.series:
        next_step = (
            "Fit a temperature on validation data, or use label smoothing of 0.1; the predicted classes are no worse."
        )
    return Finding(Code.OVERFIT_CONFIDENCE, Severity.WARNING, evidence, next_step, rise.epoch)


class _Rise(NamedTuple):
    """A rise of the validation loss."""

    epoch: int
    evidence: str
    accuracy_holds: bool


def _rise(curves: Curves) -> _Rise | None:
    """Return the rise if each of the last 3 validation losses is well above the minimum while the training loss falls.

    The minimum is that of centred means of 3. Only the last 3 count: a loss that came down again is not overfitting.
    """
    val, train = _unrestored(curves.val_loss), curves.train_loss
    if val is None or train is None or len(val) <= LAST_EVALS:
        return None
    smooth = centred_mean(val)
    best = int(np.argmin(smooth))
    # Only the second half: in a short curve, the curvature of the first epochs looks like noise.
    margin = max(REAL_CHANGE * abs(float(smooth[best])), SIGMAS * noise(val[len(val) // 2 :]))
    falls = float(train[-LAST_EVALS:].mean()) < float(centred_mean(train)[best])
    if not falls or best >= len(val) - LAST_EVALS or (val[-LAST_EVALS:] < smooth[best] + margin).any():
        return None
    gap = float((val[-GAP_WINDOW:] - train[: len(val)][-GAP_WINDOW:]).mean())
    evidence = (
        f"The validation loss rises from {smooth[best]:.3g} at {curves.at(best)} to {val[-LAST_EVALS:].mean():.3g} over"
        f" the last {LAST_EVALS} evaluations while the training loss falls to {train[-1]:.3g}"
        + (f" (mean gap over the last {GAP_WINDOW}: {gap:.2g})" if gap > GAP else "")
    )
    return _Rise(int(curves.epochs[best]), evidence, _accuracy_holds(curves, best))


def _unrestored(val: FloatArray | None) -> FloatArray | None:
    """Return the losses without a last evaluation of restored weights: patience evaluates the best epoch again."""
    return val[:-1] if val is not None and len(val) > 1 and val[-1] == val[:-1].min() else val


def _accuracy_holds(curves: Curves, best: int) -> bool:
    """Return whether the last accuracies are at most one standard error below those at the lowest loss."""
    accuracy = curves.val_accuracy
    if accuracy is None:
        return False
    then, now = float(centred_mean(accuracy)[best]), float(accuracy[-LAST_EVALS:].mean())
    # Both accuracies are on the same examples, so their difference varies less than that of independent ones.
    return now >= then - math.sqrt(then * (1.0 - then) / curves.examples)


def val_better(curves: Curves) -> Finding | None:
    """VAL_BETTER: the validation loss is below the training loss from the start, by more than sampling noise.

    It requires the training loss in eval mode, because dropout and augmentation make `train/loss` larger.
    """
    train, val = curves.train_rescored, curves.val_loss
    if train is None or val is None:
        return None
    # Both are means over the same examples in every epoch, so their sampling noise does not average out.
    noise_share = STANDARD_ERRORS * DISPERSION * math.sqrt(2.0 / curves.examples)
    lead = float(np.median((train - val) / np.maximum(np.abs(train), 1e-12)))
    share = float((val < train).mean())
    if share < ALMOST_ALL or lead <= max(REAL_CHANGE, noise_share):
        return None
    return Finding(
        Code.VAL_BETTER,
        Severity.WARNING,
        f"The validation loss is below the training loss, both in eval mode, in {share:.0%} of the {curves.record}s, by"
        f" a median of {lead:.0%}; at {curves.at(-1)} it is {val[-1]:.3g} against {train[-1]:.3g}.",
        "Check whether the validation split contains training examples, or comes from a different source.",
    )


def too_long(curves: Curves) -> Finding | None:
    """TOO_LONG: the best epoch is in the first 10 %."""
    cost = curves.cost
    if cost is None:
        return None
    best = int(np.argmin(cost))
    if best >= max(1.0, FIRST * len(cost)):
        return None
    return Finding(
        Code.TOO_LONG,
        Severity.WARNING,
        f"{curves.metric} is best at {curves.at(best)} of {curves.epochs[-1]}: {abs(cost[best]):.4g}.",
        "Use a shorter budget, so that the schedule ends there, or lower the learning rate.",
        int(curves.epochs[best]),
    )


def undertrained(curves: Curves) -> Finding | None:
    """UNDERTRAINED: best in the last 10 % and still falling, by more than 2 % over the last quarter.

    The 2 % were added because the end of a cosine schedule falls slightly at every step. It is an info, because it
    concerns the budget and the recipe may be the best one. Runs that were stopped at a rung do not have it.
    """
    cost = curves.cost
    if cost is None or curves.state == "STOPPED":
        return None
    best, tail = int(np.argmin(cost)), cost[-_quarter(len(cost)) :]
    trend = theil_sen(tail)
    fall = -trend.slope * (len(tail) - 1)
    level = abs(float(np.median(tail)))
    if best < len(cost) - max(1.0, LAST * len(cost)) or trend.high >= 0 or fall <= REAL_CHANGE * level:
        return None
    return Finding(
        Code.UNDERTRAINED,
        Severity.INFO,
        f"{curves.metric} is best at {curves.at(best)} of {curves.epochs[-1]} and still improves by"
        f" {-trend.slope:.2g} per {curves.record} [{-trend.high:.2g}, {-trend.low:.2g}].",
        "Train longer, or with a higher learning rate.",
        int(curves.epochs[best]),
    )


def plateau(curves: Curves) -> Finding | None:
    """PLATEAU: the interval of the slope of the last quarter contains 0. An info: all full schedules end like this."""
    cost = curves.cost
    if cost is None:
        return None
    count = _quarter(len(cost))
    trend = theil_sen(cost[-count:])
    if not trend.low <= 0.0 <= trend.high:
        return None
    start = len(cost) - count
    return Finding(
        Code.PLATEAU,
        Severity.INFO,
        f"{curves.metric} is flat from {curves.at(start)} on: its improvement per {curves.record} is {-trend.slope:.2g}"
        f" [{-trend.high:.2g}, {-trend.low:.2g}].",
        "If it should be better, try a 3 times higher learning rate, a shorter warmup, another activation or a wider"
        " model.",
        int(curves.epochs[start]),
    )


def _quarter(records: int) -> int:
    return max(MIN_QUARTER, math.ceil(QUARTER * records))
