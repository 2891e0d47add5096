"""Decide from measurements whether a check passes: the thresholds of `sweeps check`. Imports no torch.

Source of the checks: Karpathy, "A Recipe for Training Neural Networks", 2019.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from trainers.check import Check, failed, passed, warned
from trainers.sanity.lr_curve import LrScan, rate_text

LOSS_TOLERANCE = 0.2  # share of ln K (Karpathy, Stanford CS231n notes, "Look for correct loss at chance performance")
LOSS_FAILURE = 3.0
"""Times ln K. So high a loss needs logits of several nats for wrong classes, which training must first undo."""

VANISHING = 1e-3
EXPLODING = 100.0
SIGMAS = 3.0


@dataclass(frozen=True)
class InitialLoss:
    """Predictions of a classifier before training, compared with those of constants.

    Attributes:
        loss: Mean NLL in nats.
        accuracy: Accuracy on the same examples.
        examples: Number of examples.
        classes: Number of classes K.
        majority: Share of the most frequent class of `train` in these examples.
        entropy: Entropy of the shares of the classes in `train`, in nats: the lowest loss of a constant prediction.
    """

    loss: float
    accuracy: float
    examples: int
    classes: int
    majority: float
    entropy: float

    @property
    def uniform(self) -> float:
        """Loss of predicting all classes with equal probability, ln K."""
        return math.log(self.classes)

    @property
    def pretrained(self) -> bool:
        """Whether accuracy is significantly better than the most frequent class, as with no random weights."""
        return self.accuracy - self.majority > _accuracy_noise(self.majority, self.examples)

    def __str__(self) -> str:
        return (
            f"{self.loss:.3f} before training, ln {self.classes} = {self.uniform:.3f}"
            f" (of the class shares {self.entropy:.3f})"
        )


def initial_losses(classes: int, entropy: float) -> tuple[float, float]:
    """Return the lowest and the highest plausible loss of a classifier before training.

    Random weights give a loss near ln K, and a head whose bias is set to the shares of the classes gives their entropy.
    Outputs that happen to lean towards the wrong classes are as likely as towards the right ones, so that the loss of
    unbalanced classes may be as far above ln K as the entropy is below it. A fifth of ln K is added on either side.
    """
    uniform = math.log(classes)
    return entropy - LOSS_TOLERANCE * uniform, 2.0 * uniform - entropy + LOSS_TOLERANCE * uniform


def check_initial_loss(found: InitialLoss) -> Check:
    """Check the loss before training against the losses of constant predictions."""
    name, evidence = "initial loss", str(found)
    if not math.isfinite(found.loss):
        return failed(name, evidence, "normalise the inputs, and look for a log or a division in the model")
    low, high = initial_losses(found.classes, found.entropy)
    if low <= found.loss <= high:
        return passed(name, evidence)
    evidence += f": {found.loss / found.uniform - 1.0:+.0%}"
    if found.pretrained:
        evidence += (
            f", and accuracy {found.accuracy:.2f}, most frequent class {found.majority:.2f}: the weights are pretrained"
        )
    if found.loss > high:
        fix = "the model is overconfident on this data: normalise inputs as in its pretraining"
        if not found.pretrained:
            fix = (
                "the logits are too large: look for a factor on them, large initial weights of the head,"
                " unnormalised inputs"
            )
        too_far = found.loss > LOSS_FAILURE * found.uniform
        return failed(name, evidence, fix) if too_far else warned(name, evidence, fix)
    if found.pretrained:
        return passed(name, evidence)
    fix = "no constant prediction has so low a loss, but accuracy is that of the most frequent class: check the targets"
    return warned(name, evidence, fix)


def check_finite_loss(loss: float) -> Check:
    """Check the mean loss before training of a task with a loss of its own, of which no value is expected."""
    name, evidence = "initial loss", f"{loss:.4g} before training"
    if math.isfinite(loss):
        return passed(name, evidence)
    return failed(name, evidence, "normalise the inputs, and look for a log or a division in the model or the loss")


def check_learning_rate(scan: LrScan) -> Check:
    """Check the learning rate of the recipe against the suggestion of a range test."""
    name, found, now = "learning rate", scan.suggestion, f"optimizer.lr is {rate_text(scan.recipe_lr)}"
    if found is None:
        ends = f"from {rate_text(scan.lrs[0])} to {rate_text(scan.lrs[-1])}"
        return warned(
            name,
            f"the training loss does not fall at any rate {ends} within {len(scan.lrs)} steps",
            "fix the other checks first: gradients, then the data",
        )
    ends = f"{rate_text(found.low)} to {rate_text(found.high)}"
    blow_up = "none" if found.blow_up is None else f"at {rate_text(found.blow_up)}"
    evidence = f"{now}; the range test suggests {rate_text(found.lr)}, {ends}; blow-up {blow_up}"
    if found.blow_up is not None and scan.recipe_lr >= found.blow_up:
        return failed(name, evidence, f"the learning rate is too high: set optimizer.lr to {rate_text(found.lr)}")
    if found.low <= scan.recipe_lr <= found.high:
        return passed(name, evidence)
    return warned(name, evidence, f"search it: {found.search_line}")


def check_gradients(norms: Mapping[str, Sequence[float | None]], layers: frozenset[str], steps: int) -> Check:
    """Check for parameters without a gradient, and for vanishing or exploding gradients.

    Args:
        norms: Norm of the gradient of each trained parameter at every step; None without a gradient.
        layers: Names of the parameters with two or more dimensions.
        steps: Number of steps.
    """
    name = "gradients"
    detached = [parameter for parameter, values in norms.items() if not any(values)]
    if detached:
        return failed(
            name,
            f"{len(detached)} of {len(norms)} parameters have no gradient in {steps} steps: {_some(detached)}",
            "they are not trained: look for detach(), no_grad() or a layer that forward() does not use; if intended,"
            " list them in groups.frozen",
        )
    means = {one: sum(v or 0.0 for v in values) / len(values) for one, values in norms.items() if one in layers}
    broken = [one for one, mean in means.items() if not math.isfinite(mean)]
    if broken:
        fix = "divide optimizer.lr by 10, clip at 1.0, normalise the inputs, look for a log or a division"
        return failed(name, f"not finite in {_some(broken)}", fix)
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    evidence = f"norms {means[low]:.2g} ({low}) to {means[high]:.2g} ({high}), means of {steps} steps"
    if means[high] > EXPLODING:
        fix = "set regularization.clip_norm to 1.0, add warmup, check the scale of the inputs and the logits"
        return warned(name, f"exploding: {evidence}", fix)
    # The largest value over the steps, since layers behind zeros, such as adapters, have almost no gradient at first.
    if any(max(v or 0.0 for v in norms[one]) < VANISHING for one in means):
        fix = "check the scale of the logits, the norms and the initial weights; look for saturated activations"
        return warned(name, f"vanishing: {evidence}", fix)
    return passed(name, evidence)


@dataclass(frozen=True)
class ShortTraining:
    """Result of a short training.

    Attributes:
        lr: Learning rate.
        steps: Number of optimizer steps.
        accuracy: Accuracy on `val`.
        train_accuracy: Accuracy on the same number of examples of `train`.
        gain: Mean reduction of the NLL on `val` relative to predicting the class frequencies, in nats.
        gain_error: Standard error of `gain`.
        majority: Share of the most frequent class of `train` in `val`.
        train_majority: Share of that class in the examples of `train`.
        examples: Number of examples of `val`.
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

    baseline: ClassVar[str] = "chance"

    @property
    def learned(self) -> bool:
        """Whether the predictions on `val` are significantly better than the class frequencies."""
        noise = _accuracy_noise(self.majority, self.examples)
        return self.accuracy - self.majority > noise or self.gain > SIGMAS * self.gain_error

    @property
    def memorised(self) -> bool:
        """Whether the predictions on `train` are significantly better than the most frequent class."""
        return self.train_accuracy - self.train_majority > _accuracy_noise(self.train_majority, self.examples)

    def __str__(self) -> str:
        return (
            f"val accuracy {self.accuracy:.3f} after {self.steps} steps at lr {rate_text(self.lr)}"
            f" (train {self.train_accuracy:.3f}, most frequent class {self.majority:.3f})"
        )


@dataclass(frozen=True)
class ShortDescent:
    """Result of a short training with a loss of the task's own.

    Attributes:
        lr: Learning rate.
        steps: Number of optimizer steps.
        before: Mean loss on `val` before the training.
        after: Mean loss on `val` after it.
        error: Standard error of the difference.
        train_before: Mean loss on examples of `train` before the training.
        train_after: Mean loss on these examples after it.
        train_error: Standard error of that difference.
    """

    lr: float
    steps: int
    before: float
    after: float
    error: float
    train_before: float
    train_after: float
    train_error: float

    baseline: ClassVar[str] = "the loss before training"

    @property
    def learned(self) -> bool:
        """Whether the loss on `val` is significantly lower than before the training."""
        return self.before - self.after > SIGMAS * self.error

    @property
    def memorised(self) -> bool:
        """Whether the loss on `train` is significantly lower than before the training."""
        return self.train_before - self.train_after > SIGMAS * self.train_error

    def __str__(self) -> str:
        return (
            f"val loss {self.before:.4g} -> {self.after:.4g} after {self.steps} steps at lr {rate_text(self.lr)}"
            f" (train {self.train_before:.4g} -> {self.train_after:.4g})"
        )


def check_learning(trainings: Sequence[ShortTraining | ShortDescent], overfits: bool) -> Check:
    """Check whether a short training generalises to `val`.

    Args:
        trainings: Training at the learning rate of the recipe and, if it learned nothing, one at the suggested rate.
        overfits: Whether the model can overfit one batch.
    """
    name, last = "learns", trainings[-1]
    if last.learned and len(trainings) == 1:
        return passed(name, str(last))
    if last.learned:
        fix = f"no learning in {trainings[0].steps} steps at the recipe's rate: raise it or the budget, or search it"
        return warned(name, f"{trainings[0]}; {last}", fix)
    evidence = "; ".join(str(training) for training in trainings)
    if any(training.memorised for training in trainings):
        return failed(
            name,
            f"the model learns train, but val stays at {last.baseline}: {evidence}",
            "the inputs do not predict the labels: look for shuffled or shifted labels, for inputs and targets in"
            " different orders, for different preprocessing of val and train, or for far too few examples",
        )
    fix = "there are too few steps or nothing to learn: look at examples with their labels"
    return warned(
        name, f"no better than {last.baseline}: {evidence}", fix if overfits else f"fix the overfit check first; {fix}"
    )


def _accuracy_noise(share: float, examples: int) -> float:
    """Return how far accuracy may be above the share of a class before it is better than predicting this class."""
    return SIGMAS * math.sqrt(max(share * (1.0 - share), 1e-4) / examples)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
