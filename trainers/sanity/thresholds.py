"""Measurements of a task -> verdicts: the thresholds of the sanity ladder, without torch.

Source of the ladder: Karpathy, "A Recipe for Training Neural Networks", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainers.check import Check, failed, passed, warned
from trainers.sanity.lr_curve import LrScan, rate_text

LOSS_TOLERANCE = 0.2
LOSS_FAILURE = 3.0
VANISHING = 1e-3
EXPLODING = 100.0
SIGMAS = 3.0


def check_initial_loss(loss: float, accuracy: float, examples: int, classes: int) -> Check:
    """Compare the loss before training with that of guessing every class alike, ln K.

    Args:
        loss: Mean NLL, in nats.
        accuracy: On the same examples.
        examples: How many they are.
        classes: K.
    """
    name, chance = "initial loss", math.log(classes)
    evidence = f"{loss:.3f} before training, ln {classes} = {chance:.3f}"
    if not math.isfinite(loss):
        return failed(name, evidence, "look for inputs that are not normalised, and for log or division in the model")
    off = loss / chance - 1.0
    if abs(off) <= LOSS_TOLERANCE:
        return passed(name, evidence)
    evidence += f": {off:+.0%}"
    # Fresh weights cannot know labels. Whoever beats chance before the first step was trained before.
    if accuracy > 1.0 / classes + SIGMAS * math.sqrt((1.0 - 1.0 / classes) / classes / examples):
        evidence += f", and accuracy {accuracy:.2f}: weights that were trained before"
        if loss < chance * (1.0 + LOSS_TOLERANCE):
            return passed(name, evidence)
        return warned(name, evidence, "its confidence does not fit this data: normalise inputs as it was trained")
    if off < 0:
        return warned(name, evidence, "no better than chance and yet below ln K: are classes missing from train?")
    fix = "the scale of the logits is off: look for a factor on them, large initial weights of the head, raw inputs"
    return failed(name, evidence, fix) if loss > LOSS_FAILURE * chance else warned(name, evidence, fix)


def check_learning_rate(scan: LrScan) -> Check:
    """Compare the recipe's learning rate with what a range test suggests."""
    name, found, now = "learning rate", scan.suggestion, f"optimizer.lr is {rate_text(scan.recipe_lr)}"
    if found is None:
        ends = f"from {rate_text(scan.lrs[0])} to {rate_text(scan.lrs[-1])}"
        return warned(
            name,
            f"the training loss falls at no rate {ends} within {len(scan.lrs)} steps",
            "look at the other checks first: gradients, then the data",
        )
    ends = f"{rate_text(found.low)} to {rate_text(found.high)}"
    blow_up = "none" if found.blow_up is None else f"at {rate_text(found.blow_up)}"
    evidence = f"{now}; the range test suggests {rate_text(found.lr)}, {ends}; blow-up {blow_up}"
    if found.blow_up is not None and scan.recipe_lr >= found.blow_up:
        return failed(name, evidence, f"training diverges at this rate: set optimizer.lr to {rate_text(found.lr)}")
    if found.low <= scan.recipe_lr <= found.high:
        return passed(name, evidence)
    return warned(name, evidence, f"search it: {found.search_line}")


def check_gradients(norms: Mapping[str, Sequence[float | None]], layers: frozenset[str], steps: int) -> Check:
    """Look for parameters without gradient, and for gradients that vanish or explode.

    Args:
        norms: Of the gradient of each trained parameter, at every step; None where it had none.
        layers: Those that are weights of two or more dimensions.
        steps: How many steps it was.
    """
    name = "gradients"
    detached = [parameter for parameter, values in norms.items() if not any(values)]
    if detached:
        return failed(
            name,
            f"{len(detached)} of {len(norms)} parameters get no gradient in {steps} steps: {_some(detached)}",
            "they do not train: look for detach(), no_grad() or a layer that forward() leaves out; what is meant to"
            " stay as it is belongs into groups.frozen",
        )
    means = {one: sum(v or 0.0 for v in values) / len(values) for one, values in norms.items() if one in layers}
    broken = [one for one, mean in means.items() if not math.isfinite(mean)]
    if broken:
        fix = "lower optimizer.lr tenfold, clip at 1.0, normalise the inputs, look for log or division"
        return failed(name, f"not finite in {_some(broken)}", fix)
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    evidence = f"norms {means[low]:.2g} ({low}) to {means[high]:.2g} ({high}), means of {steps} steps"
    if means[high] > EXPLODING:
        fix = "set regularization.clip_norm to 1.0, add warmup, look at the scale of inputs and of logits"
        return warned(name, f"exploding: {evidence}", fix)
    # By the largest of the steps: what starts behind zeros, as an adapter does, has next to none at first.
    if any(max(v or 0.0 for v in norms[one]) < VANISHING for one in means):
        fix = "look at the scale of the logits, at the norms and the initial weights; saturated activations do this too"
        return warned(name, f"vanishing: {evidence}", fix)
    return passed(name, evidence)


@dataclass(frozen=True)
class ShortTraining:
    """What a short training came to.

    Attributes:
        lr: At which learning rate.
        steps: Optimizer steps.
        accuracy: On `val`.
        train_accuracy: On as many examples of `train`.
        gain: Mean advantage on `val` over a model that knows only the shares of the classes, in nats.
        gain_error: Its standard error.
        majority: Share, in `val`, of the most frequent class of `train`.
        train_majority: Its share in the examples of `train`.
        examples: Of `val`.
    """

    lr: float
    steps: int
    accuracy: float
    train_accuracy: float
    gain: float
    gain_error: float
    majority: float
    train_majority: float
    examples: int

    @property
    def learnt(self) -> bool:
        """Whether `val` is predicted better than the shares of its classes allow, beyond the noise."""
        return self.accuracy - self.majority > self._noise(self.majority) or self.gain > SIGMAS * self.gain_error

    @property
    def memorised(self) -> bool:
        """Whether `train` is, whatever `val` is."""
        return self.train_accuracy - self.train_majority > self._noise(self.train_majority)

    def _noise(self, share: float) -> float:
        return SIGMAS * math.sqrt(max(share * (1.0 - share), 1e-4) / self.examples)

    def __str__(self) -> str:
        return (
            f"val accuracy {self.accuracy:.3f} after {self.steps} steps at lr {rate_text(self.lr)}"
            f" (train {self.train_accuracy:.3f}, most frequent class {self.majority:.3f})"
        )


def check_learning(lessons: Sequence[ShortTraining], overfits: bool) -> Check:
    """Ask whether the inputs say anything about the labels that holds for new examples.

    Args:
        lessons: At the recipe's rate and, if that taught nothing, at the suggested one.
        overfits: Whether the model can learn a few examples by heart.
    """
    name, last = "learns", lessons[-1]
    if last.learnt and len(lessons) == 1:
        return passed(name, str(last))
    if last.learnt:
        fix = f"the recipe's rate teaches nothing in {lessons[0].steps} steps: raise it or the budget, or search it"
        return warned(name, f"{lessons[0]}; {last}", fix)
    evidence = "; ".join(str(lesson) for lesson in lessons)
    if any(lesson.memorised for lesson in lessons):
        return failed(
            name,
            f"train is learnt and val stays at chance: {evidence}",
            "the labels do not follow from the inputs: look for shuffled or shifted labels, for inputs and targets in"
            " different orders, for val that is prepared otherwise than train; else, for far too few examples",
        )
    fix = "too few steps, or nothing to learn: look at examples with their labels"
    return warned(
        name, f"no better than chance: {evidence}", fix if overfits else f"mend the overfit check first; {fix}"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
