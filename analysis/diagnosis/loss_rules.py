"""Rules about an unstable loss: NAN, DIVERGED, SPIKES, LR_TOO_HIGH, OSCILLATING.

The thresholds were chosen for losses of single steps, while a run records means of epochs. A mean can hide the spike
of a single step in a long epoch; a spike of the mean is all the more certain.
"""

import math
from collections.abc import Sequence

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.diagnosis.smoothing import FloatArray, first_streak, noise

CHECKS = 5  # consecutive records that distinguish a divergence from a spike
RISE = 2.0  # factor above the lowest loss so far (divergence) or the rolling mean (spike)
ABOVE_CHANCE = 1.5  # times ln K: worse than chance, by more than a bad first epoch explains
LEARNT = 0.9  # times the loss of predicting the class shares: below this loss, a run has learnt something
SMALL = 0.05  # share of the fall so far: doubling a tiny loss does not matter
SPIKE_SIGMAS = 6.0
WINDOW = 8  # records without spikes for the noise estimate
LEVEL = 3  # records without spikes for the mean; a longer mean would lag behind a falling loss
MIN_WINDOW = 4
SPIKES_LR_TOO_HIGH = 3
EARLY = 0.1  # share of the epochs, after the warmup
EARLY_RISE = 1.1
SIGN_CHANGES = 0.5  # share of the inner evaluations; for independent noise it is 2/3 (Bienaymé 1874)
STEP_OF_RANGE = 0.03
STEP_OF_LEVEL = 0.01  # share of the loss: the range of a flat curve is its noise, so smaller steps do not matter
NEIGHBOURHOOD = 10.0  # largest factor between the learning rates of neighbours
MIN_NEIGHBOURS = 2  # a single run may have diverged for other reasons


def not_finite(curves: Curves) -> Finding | None:
    """NAN: a loss or the metric is not finite, or the run is in the state DIVERGED; a warning for other metrics."""
    bad = curves.first_not_finite()
    if bad is None and curves.state != "DIVERGED":
        return _undefined(curves)
    index = len(curves) - 1 if bad is None else bad
    what = ", ".join(name for name, at in curves.not_finite().items() if at == bad) or "a reported number"
    where = curves.at(index) if index >= 0 else f"the first {curves.unit}"
    norms = curves.finite().series.get("train/grad_norm")
    last = "" if norms is None or not len(norms) else f"; the last finite gradient norm was {norms[-1]:.3g}"
    return Finding(
        Code.NAN,
        Severity.ERROR,
        f"{what}: not finite at {where}{last}.",
        "Divide the learning rate by 10, clip at norm 1.0, normalize the inputs; with fp16, check the loss scaler.",
        int(curves.epochs[index]) if index >= 0 else None,
    )


def _undefined(curves: Curves) -> Finding | None:
    """Return a warning that names all metrics that are not finite in some epoch."""
    found = curves.not_finite()
    if not found:
        return None
    first = min(found.values())
    return Finding(
        Code.NAN,
        Severity.WARNING,
        f"{', '.join(sorted(found))}: not finite in some {curves.record}s, first at {curves.at(first)}.",
        f"It may be undefined there, such as the AUC of a single class. The run is judged by {curves.metric}.",
        int(curves.epochs[first]),
    )


def diverged(curves: Curves) -> Finding | None:
    """DIVERGED: far above the lowest loss for 5 records, or above 1.5 ln K after the warmup and at chance in the end.

    The last condition was added because a run may train well after one spike above 1.5 ln K.
    """
    loss = curves.smoothed
    if loss is None:
        return None
    lowest = np.minimum.accumulate(loss)
    start = first_streak((lowest > 0) & (loss > RISE * lowest) & (loss - lowest > SMALL * _fall(curves, loss)), CHECKS)
    if start is not None:
        evidence = (
            f"The training loss is more than twice its lowest value of {lowest[start]:.3g} from {curves.at(start)} on,"
            f" for at least {CHECKS} {curves.record}s."
        )
        return _diverged(evidence, int(curves.epochs[start]))
    if curves.uniform_loss is None or curves.chance_loss is None:
        return None
    above = curves.after_warmup & (loss > ABOVE_CHANCE * max(curves.uniform_loss, curves.initial_loss or 0.0))
    if not above.any() or loss[-1] < LEARNT * curves.chance_loss:
        return None
    first = int(np.argmax(above))
    evidence = (
        f"The training loss is {loss[first]:.3g} at {curves.at(first)}, above 1.5 ln K = "
        f"{ABOVE_CHANCE * curves.uniform_loss:.3g}, and {loss[-1]:.3g} at the end, no better than chance:"
        f" {curves.chance_name} = {curves.chance_loss:.3g}."
    )
    return _diverged(evidence, int(curves.epochs[first]))


def _diverged(evidence: str, epoch: int) -> Finding:
    next_step = (
        "Divide the learning rate by 10; if the loss rose late, clip at norm 1.0 and check precision and schedule."
    )
    return Finding(Code.DIVERGED, Severity.ERROR, evidence, next_step, epoch)


def _fall(curves: Curves, loss: FloatArray) -> float:
    """Return the fall of the loss from its first value, or from ln K if that is higher."""
    return max(float(loss[0]), curves.uniform_loss or 0.0) - float(loss.min())


def spikes(curves: Curves) -> Finding | None:
    """SPIKES: a record above mean + 6 sigma and above twice the mean of the previous records without spikes."""
    loss = curves.loss
    found = [] if loss is None else _spikes(curves, loss)
    if loss is None or not found:
        return None
    worst = max(found, key=lambda index: float(loss[index]))
    times = "once" if len(found) == 1 else f"{len(found)} times"
    return Finding(
        Code.SPIKES,
        Severity.WARNING,
        f"The training loss spikes {times}, to {loss[worst]:.3g} at {curves.at(worst)}.",
        "Clip gradients at norm 1.0; if spikes remain, lower the learning rate.",
        int(curves.epochs[worst]),
    )


def _spikes(curves: Curves, loss: FloatArray) -> list[int]:
    """Return the indices at which spikes begin. A loss that stays high for `CHECKS` records is not a spike."""
    small = SMALL * _fall(curves, loss)
    calm: list[float] = []
    high = np.zeros(len(loss), dtype=np.bool_)
    for i, value in enumerate(loss.tolist()):
        # Noise about the trend, because the standard deviation of a falling window is mostly its fall.
        window = np.array(calm[-WINDOW:])
        mean = float(window[-LEVEL:].mean()) if len(window) >= MIN_WINDOW else math.inf
        high[i] = value > max(mean + SPIKE_SIGMAS * noise(window), RISE * mean, mean + small)
        if not high[i]:
            calm.append(value)
    starts = np.flatnonzero(high & ~np.concatenate([[False], high[:-1]])).tolist()
    return [start for start in starts if not high[start : start + CHECKS].all() or start + CHECKS > len(loss)]


def lr_too_high(curves: Curves) -> Finding | None:
    """LR_TOO_HIGH: at least three spikes, or a rise by more than 10 % in the first 10 % after the warmup."""
    raw, loss = curves.loss, curves.smoothed
    if raw is None or loss is None:
        return None
    found = _spikes(curves, raw)
    if len(found) >= SPIKES_LR_TOO_HIGH:
        evidence = f"The training loss spikes {len(found)} times, first at {curves.at(found[0])}."
        return _too_high(evidence, int(curves.epochs[found[0]]))
    warm = max(0, int(np.argmax(curves.after_warmup)) - 1)  # the last record of the warmup, or the first of all
    early = loss[warm + 1 : warm + 1 + max(1, math.ceil(EARLY * len(loss)))]
    if not len(early) or loss[warm] <= 0 or early.max() <= EARLY_RISE * loss[warm]:
        return None
    top = warm + 1 + int(np.argmax(early))
    return _too_high(
        f"Right after the warmup the training loss rises from {loss[warm]:.3g} to {loss[top]:.3g} at {curves.at(top)}.",
        int(curves.epochs[top]),
    )


def _too_high(evidence: str, epoch: int) -> Finding:
    next_step = "Divide the learning rate by 3 to 10; a longer warmup or clipping at norm 1.0 allows a higher one."
    return Finding(Code.LR_TOO_HIGH, Severity.WARNING, evidence, next_step, epoch)


def near_divergence(curves: Curves, neighbours: Sequence[Curves]) -> Finding | None:
    """LR_TOO_HIGH as an info: all neighbours with a higher learning rate diverged.

    It is not an alarm, because this run is healthy: the best learning rate is often the highest stable one.

    Args:
        curves: Curves of the run.
        neighbours: Other runs with comparable learning rates, that is, with the same optimizer.
    """
    if curves.lr is None:
        return None
    higher = [n for n in neighbours if n.lr is not None and curves.lr < n.lr <= NEIGHBOURHOOD * curves.lr]
    if len(higher) < MIN_NEIGHBOURS or not all(_has_diverged(n) for n in higher):
        return None
    return Finding(
        Code.LR_TOO_HIGH,
        Severity.INFO,
        f"All {len(higher)} comparable runs with a higher learning rate, up to {NEIGHBOURHOOD:g} times {curves.lr:.2g},"
        " diverged.",
        "Use this learning rate or a lower one; a longer warmup or clipping at norm 1.0 may allow higher ones.",
    )


def _has_diverged(curves: Curves) -> bool:
    broken = curves.first_not_finite() is not None or curves.state == "DIVERGED"
    return broken or (len(curves) > 0 and diverged(curves) is not None)


def oscillating(curves: Curves) -> Finding | None:
    """OSCILLATING: the validation loss changes direction at half of its evaluations or more, in large steps.

    The range starts at ln K: if the first epoch taught nearly everything, the range of the evaluations is only noise.
    """
    loss = curves.val_loss
    if loss is None or len(loss) < 3:
        return None
    steps = np.diff(loss)
    turns = float((np.sign(steps[1:]) * np.sign(steps[:-1]) < 0).mean())
    step = float(np.median(np.abs(steps)))
    span = max(float(loss.max()), curves.uniform_loss or -math.inf) - float(loss.min())
    if turns < SIGN_CHANGES or step <= max(STEP_OF_RANGE * span, STEP_OF_LEVEL * abs(float(np.median(loss)))):
        return None
    worst = int(np.argmax(np.abs(steps))) + 1
    return Finding(
        Code.OSCILLATING,
        Severity.WARNING,
        f"The validation loss changes direction at {turns:.0%} of its evaluations, with a median step of {step:.2g}"
        f" ({step / span:.0%} of its range); the largest step is at {curves.at(worst)}.",
        "Lower the learning rate; if that does not help, clip gradients at norm 1.0 or use a longer warmup.",
        int(curves.epochs[worst]),
    )
