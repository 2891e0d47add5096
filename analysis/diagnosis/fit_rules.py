"""Rules about where a training got to: CHANCE, UNDERFIT, OVERFIT, VAL_BETTER, TOO_LONG, UNDERTRAINED, PLATEAU."""

import math
from typing import NamedTuple

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.diagnosis.smoothing import FloatArray, centred_mean, noise, theil_sen

NEAR_CHANCE = 0.1  # of ln K
STANDARD_ERRORS = 2.0
REAL_CHANGE = 0.02  # of a loss, as generalization loss in Prechelt, "Early Stopping - But When?", 1998, has it
SIGMAS = 2.0
LAST_EVALS = 3
GAP = 0.5  # nats between validation and training loss that are worth a word
GAP_WINDOW = 10
ALMOST_ALL = 0.9  # of the epochs: "from epoch 1" with room for noise
DISPERSION = 1.5  # standard deviation over mean of the losses of single examples: 1 if exponential, more with outliers
FIRST = 0.1  # of the records
LAST = 0.1
QUARTER = 0.25
MIN_QUARTER = 5  # records below which a slope has no 95 % interval


def chance(curves: Curves) -> Finding | None:
    """CHANCE: in the end the validation accuracy is that of the most frequent class, within 2 standard errors.

    In the end is the median of the last quarter: the best epoch of a guessing model lies above chance.
    """
    accuracy, majority = curves.series.get("val/accuracy"), curves.chance_accuracy
    if accuracy is None or majority is None:
        return None
    reached = float(np.median(accuracy[-_quarter(len(accuracy)) :]))
    limit = majority + STANDARD_ERRORS * math.sqrt(majority * (1.0 - majority) / curves.examples)
    if reached > limit:
        return None
    return Finding(
        Code.CHANCE,
        Severity.ERROR,
        f"The validation accuracy is {reached:.1%} over the last quarter, up to {curves.at(-1)}: guessing reaches"
        f" {limit:.1%} (majority {majority:.1%} + 2 standard errors).",
        "Overfit one batch first: if that fails, look at labels, inputs and loss; if not, lower the learning rate.",
        int(curves.epochs[-1]),
    )


def underfit(curves: Curves) -> Finding | None:
    """UNDERFIT: the training loss ends within 10 % of chance, ln K, and the validation loss as well.

    The second condition is an addition: mixup and label smoothing hold the training loss of a good model up.
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
        f"The training loss is {reached:.3g} up to {curves.at(-1)}, within 10 % of ln K = {guess:.3g}.",
        "Try a higher learning rate if it never moved and a lower one if it jumped, then a larger model, then longer.",
        int(curves.epochs[-1]),
    )


def overfit(curves: Curves) -> Finding | None:
    """OVERFIT: the validation loss ends above its minimum while the training loss falls, and accuracy suffers."""
    turn = _turn(curves)
    if turn is None or turn.accuracy_holds:
        return None
    next_step = "Try more weight decay, then augmentation, then dropout; or keep the best epoch with patience."
    return Finding(Code.OVERFIT, Severity.WARNING, f"{turn.evidence}.", next_step, turn.epoch)


def overfit_confidence(curves: Curves) -> Finding | None:
    """OVERFIT_CONFIDENCE: the same while accuracy holds: calibration drifts, the decisions stay as good."""
    turn = _turn(curves)
    if turn is None or not turn.accuracy_holds:
        return None
    evidence = f"{turn.evidence}, but the accuracy holds: the model grows too sure."
    next_step = "Fit a temperature on validation data, or smooth the labels by 0.1; the decisions are no worse."
    return Finding(Code.OVERFIT_CONFIDENCE, Severity.WARNING, evidence, next_step, turn.epoch)


class _Turn(NamedTuple):
    """A validation loss that turned upwards."""

    epoch: int
    evidence: str
    accuracy_holds: bool


def _turn(curves: Curves) -> _Turn | None:
    """Tell whether each of the last 3 validation losses lies well above the minimum, while the training loss falls.

    The minimum is of centred means of 3. The last 3, not any 3: a loss that came back is of no overfit model.
    """
    val, train = _unrestored(curves.val_loss), curves.train_loss
    if val is None or train is None or len(val) <= LAST_EVALS:
        return None
    smooth = centred_mean(val)
    best = int(np.argmin(smooth))
    # The second half alone: the bend of the first epochs looks like noise in a short curve.
    margin = max(REAL_CHANGE * abs(float(smooth[best])), SIGMAS * noise(val[len(val) // 2 :]))
    falls = float(train[-LAST_EVALS:].mean()) < float(centred_mean(train)[best])
    if not falls or best >= len(val) - LAST_EVALS or (val[-LAST_EVALS:] < smooth[best] + margin).any():
        return None
    gap = float((val[-GAP_WINDOW:] - train[: len(val)][-GAP_WINDOW:]).mean())
    evidence = (
        f"The validation loss rises from {smooth[best]:.3g} at {curves.at(best)} to {val[-LAST_EVALS:].mean():.3g} over"
        f" the last {LAST_EVALS} evaluations while the training loss falls to {train[-1]:.3g}"
        + (f" (a gap of {gap:.2g} over the last {GAP_WINDOW})" if gap > GAP else "")
    )
    return _Turn(int(curves.epochs[best]), evidence, _accuracy_holds(curves, best))


def _unrestored(val: FloatArray | None) -> FloatArray | None:
    """Leave out a last evaluation that is of restored weights: patience ends with the best epoch once more."""
    return val[:-1] if val is not None and len(val) > 1 and val[-1] == val[:-1].min() else val


def _accuracy_holds(curves: Curves, best: int) -> bool:
    """Return whether the last accuracies are no worse than those at the lowest loss, by one standard error at most."""
    accuracy = curves.series.get("val/accuracy")
    if accuracy is None:
        return False
    then, now = float(centred_mean(accuracy)[best]), float(accuracy[-LAST_EVALS:].mean())
    # The same examples at both times: the difference varies less than two independent accuracies would.
    return now >= then - math.sqrt(then * (1.0 - then) / curves.examples)


def val_better(curves: Curves) -> Finding | None:
    """VAL_BETTER: validation beats training in eval mode from the start, by more than the draw of examples explains.

    Only with `train/nll_eval`: dropout and augmentation make any `train/loss` worse than `val/nll`.
    """
    train, val = curves.series.get("train/nll_eval"), curves.val_loss
    if train is None or val is None:
        return None
    # Both are means over as many examples, which are the same in every epoch: their luck does not average out.
    luck = STANDARD_ERRORS * DISPERSION * math.sqrt(2.0 / curves.examples)
    lead = float(np.median((train - val) / np.maximum(np.abs(train), 1e-12)))
    share = float((val < train).mean())
    if share < ALMOST_ALL or lead <= max(REAL_CHANGE, luck):
        return None
    return Finding(
        Code.VAL_BETTER,
        Severity.WARNING,
        f"The validation loss is below the training loss, both in eval mode, at {share:.0%} of the epochs, by"
        f" {lead:.0%} in the median; {curves.at(-1)} has {val[-1]:.3g} against {train[-1]:.3g}.",
        "Look for training examples inside validation, and for two splits drawn from different sources.",
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
        "Train a shorter budget, so that the schedule ends there, or lower the learning rate.",
        int(curves.epochs[best]),
    )


def undertrained(curves: Curves) -> Finding | None:
    """UNDERTRAINED: best in the last 10 % and still falling, by more than 2 % over the last quarter.

    The 2 % are an addition: the end of a cosine falls by a hair at every step. An info, and not of a run that was
    stopped at a rung: it says something about the budget, and the recipe may be the best.
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
        f" {-trend.slope:.2g} an epoch [{-trend.high:.2g}, {-trend.low:.2g}].",
        "Train longer, or with a higher learning rate.",
        int(curves.epochs[best]),
    )


def plateau(curves: Curves) -> Finding | None:
    """PLATEAU: the slope of the last quarter has an interval that covers 0. An info: so ends every full schedule."""
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
        f"{curves.metric} is flat from {curves.at(start)} on: {-trend.slope:.2g} an epoch"
        f" [{-trend.high:.2g}, {-trend.low:.2g}], up being better.",
        "If it should be better than this: learning rate x 3, a shorter warmup, another activation, a wider model.",
        int(curves.epochs[start]),
    )


def _quarter(records: int) -> int:
    return max(MIN_QUARTER, math.ceil(QUARTER * records))
