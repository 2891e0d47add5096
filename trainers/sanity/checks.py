"""Run the checks of `sweeps check` on a task, cheapest first.

Every check measures with a `Probe`, which has new initial weights; `thresholds` decides whether it passes.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import psutil
import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from trainers.check import Check, Outcome, failed, passed, warned
from trainers.compute.memory import peak_memory, reset_peak_memory
from trainers.evaluation.evaluate import evaluated_together, logits, per_example
from trainers.objective import Objective, objective_of
from trainers.sanity.lr_curve import Suggestion, rate_text
from trainers.sanity.lr_finder import scan
from trainers.sanity.probe import Probe, probe_data
from trainers.sanity.thresholds import (
    InitialLoss,
    ShortDescent,
    ShortTraining,
    check_finite_loss,
    check_gradients,
    check_initial_loss,
    check_learning,
    check_learning_rate,
)
from trainers.task import Data, Examples, Split, Task

OVERFIT_EXAMPLES = 16
"""Number of examples to overfit. 16 points in more than 16 dimensions are separable even for a linear model."""

OVERFIT_STEPS = 300
NEAR_ZERO_LOSS = 0.05
NEAR_ZERO_SHARE = 0.1  # of the first loss of a task with a loss of its own, which may have a minimum above zero
GRADIENT_STEPS = 10
SHORT_STEPS = 200
SHORT_SECONDS = 12.0
INITIAL_EXAMPLES = 1000
SCORED_EXAMPLES = 2000
MEMORY_LIMIT = 0.9
_FALLBACK_RATES = (1e-3, 1e-2)
_WARMUP = 0.1
_PART = 32  # examples of which a loss that returns a mean gives one value


def check_task(task: Task, recipe: Recipe, seed: int) -> Iterator[Check]:
    """Check a task with a recipe; yield each check when it is complete.

    Args:
        task: Task with data and model.
        recipe: Base recipe.
        seed: Seed for all random streams.

    Raises:
        UsageError: This machine cannot train this recipe.
    """
    data = probe_data(recipe, task, seed)
    try:
        yield from _checks(task, recipe, data, seed)
    finally:
        data.close()


def _checks(task: Task, recipe: Recipe, data: Data, seed: int) -> Iterator[Check]:
    overfit = _overfit(task, recipe, data, seed)
    yield overfit
    yield _initial_loss(task, recipe, data, seed)
    range_test = scan(task, recipe, data, seed)
    yield check_learning_rate(range_test)
    yield _gradients(task, recipe, data, seed)
    short = _short_trainings(task, recipe, data, seed, range_test.suggestion)
    yield check_learning(short.trainings, overfit.outcome is not Outcome.FAIL)
    yield _throughput(recipe, data, short)


def _overfit(task: Task, recipe: Recipe, data: Data, seed: int) -> Check:
    name = "overfit one batch"
    batch = data.train.draw(OVERFIT_EXAMPLES, seed)
    attempt = _overfit_batch(task, recipe, batch, seed)
    if attempt.done:
        return passed(name, f"{attempt} at optimizer.lr {rate_text(recipe.optimizer.lr)}")
    learns = attempt.halved
    for rate in _FALLBACK_RATES:
        fallback = _overfit_batch(task, recipe.model_copy(update={"optimizer": AdamW(lr=rate)}), batch, seed)
        learns = learns or fallback.halved
        if fallback.done:
            own = f"{attempt} at optimizer.lr {rate_text(recipe.optimizer.lr)}"
            evidence = f"{own}; with AdamW at {rate_text(rate)}, {fallback}"
            if attempt.halved:  # the model learns; the next checks are about its learning rate
                return passed(name, evidence)
            return warned(name, evidence, "the model can, but not with this optimizer: change optimizer.lr, see below")
    evidence = f"{attempt}, and AdamW at {' and '.join(map(rate_text, _FALLBACK_RATES))} is no better"
    if learns and objective_of(task).loss is not None:  # the smallest value of a task's own loss is unknown
        return warned(name, evidence, "the loss falls, but not to near zero: find out whether this model can reach it")
    return failed(
        name,
        evidence,
        "check the path from the inputs to the outputs: a wrong scale, detached or frozen layers, an activation after"
        " the last layer, targets that the model cannot distinguish",
    )


class _Attempt(NamedTuple):
    """Result of training on one batch."""

    examples: int
    losses: Sequence[float]
    near_zero: float

    @property
    def done(self) -> bool:
        return self.losses[-1] < self.near_zero

    @property
    def halved(self) -> bool:
        return self.losses[-1] < 0.5 * self.losses[0]

    def __str__(self) -> str:
        start, end = self.losses[0], self.losses[-1]
        return f"loss {start:.3g} -> {end:.2g} on {self.examples} examples in {len(self.losses)} steps"


def _overfit_batch(task: Task, recipe: Recipe, batch: Split, seed: int) -> _Attempt:
    """Train on one batch without regularization."""
    plain = {
        "regularization": Regularization(clip_norm=recipe.regularization.clip_norm),
        "budget": Budget(batch_size=OVERFIT_EXAMPLES),
    }
    if "weight_decay" in type(recipe.optimizer).model_fields:
        plain["optimizer"] = recipe.optimizer.model_copy(update={"weight_decay": 0.0})
    probe = Probe(recipe.model_copy(update=plain), task, Data(batch, batch, batch), seed, dropout=False)
    own = probe.objective.loss is not None

    def near_zero(first: float) -> float:
        """Return the loss that counts as near zero; the scale of a task's own loss is unknown."""
        return max(NEAR_ZERO_LOSS, NEAR_ZERO_SHARE * first) if own else NEAR_ZERO_LOSS

    losses = probe.train(
        repeat(recipe.optimizer.lr, OVERFIT_STEPS),
        stop=lambda losses: losses[-1] < near_zero(losses[0]) or not math.isfinite(losses[-1]),
    )
    return _Attempt(len(batch), losses, near_zero(losses[0]))


def _initial_loss(task: Task, recipe: Recipe, data: Data, seed: int) -> Check:
    probe = Probe(recipe, task, data, seed, dropout=False)
    probe.training_mode()  # in eval mode, BatchNorm would use statistics of no data
    sample = data.train.evenly_spaced(INITIAL_EXAMPLES)
    with torch.inference_mode():
        batches = sample.in_order(recipe.budget.batch_size, probe.at_least_two)
        found = torch.cat([probe.arithmetic.forward(probe.model, part.inputs) for part in batches])
    classes = probe.objective.classes
    if classes is None or probe.objective.loss is not None:
        return check_finite_loss(_values(probe.objective, found, sample.targets).mean().item())
    loss = functional.cross_entropy(found.double(), sample.targets).item()
    counts = _class_counts(data, sample.targets)
    return check_initial_loss(
        InitialLoss(
            loss,
            accuracy=_share(found.argmax(dim=1) == sample.targets),
            examples=len(found),
            classes=classes,
            majority=_share(sample.targets == int(counts.argmax())),
            entropy=torch.special.entr(counts / counts.sum()).sum().item(),
        )
    )


def _class_counts(data: Data, loaded: Tensor) -> Tensor:
    """Return how often each class occurs in `train`; in its loaded targets, if it is loaded batch by batch."""
    return torch.bincount(data.train.targets if isinstance(data.train, Split) else loaded).double()


def _values(objective: Objective, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the task's own loss in float64: of each example, or the mean of each small batch."""
    parts = zip(torch.split(outputs, _PART), torch.split(targets, _PART), strict=True)
    return torch.cat([objective.own_loss(*part).double().reshape(-1) for part in parts])


def _gradients(task: Task, recipe: Recipe, data: Data, seed: int) -> Check:
    """Measure several steps, since a head or an adapter that starts at zero passes no gradient in the first step."""
    probe = Probe(recipe, task, data, seed)
    rows: list[list[float | None]] = []

    def record() -> None:
        gradients = [parameter.grad for parameter in probe.parameters.values()]
        rows.append([None if g is None else torch.linalg.vector_norm(g.double()).item() for g in gradients])

    probe.train(repeat(recipe.optimizer.lr, GRADIENT_STEPS), on_gradient=record)
    if probe.arithmetic.skips_steps:  # the initial loss scale is too high on purpose, and such steps are skipped
        rows = [row for row in rows if all(value is None or math.isfinite(value) for value in row)] or rows
    norms = {name: [row[column] for row in rows] for column, name in enumerate(probe.parameters)}
    layers = frozenset(name for name, parameter in probe.parameters.items() if parameter.ndim >= 2)
    return check_gradients(norms, layers or frozenset(norms), len(rows))


class _ShortTrainings(NamedTuple):
    """Short trainings and their costs: throughput of training, seconds of evaluating `val`, bytes of memory."""

    trainings: Sequence[ShortTraining | ShortDescent]
    samples_per_second: float
    val_seconds: float
    memory: float


def _short_trainings(
    task: Task, recipe: Recipe, data: Data, seed: int, suggestion: Suggestion | None
) -> _ShortTrainings:
    trainings: list[ShortTraining | ShortDescent] = []
    reset_peak_memory(data.train.device)
    samples = train_seconds = val_seconds = 0.0
    for rate in (recipe.optimizer.lr, *([suggestion.lr] if suggestion else [])):
        probe = Probe(recipe, task, data, seed)
        before = _own_losses(probe)
        began = time.perf_counter()
        steps = len(probe.train(_warmup_and_decay(rate), stop=_stop_after(SHORT_SECONDS)))
        middle = time.perf_counter()
        trainings.append(_descent(probe, rate, steps, before) if before else _evaluate(probe, rate, steps))
        train_seconds += middle - began
        samples += steps * data.train.examples / probe.steps_per_epoch
        val_seconds = time.perf_counter() - middle
        if trainings[-1].learned:
            break
    memory = peak_memory(data.train.device).get("train/peak_memory", float(psutil.Process().memory_info().rss))
    return _ShortTrainings(trainings, samples / train_seconds, val_seconds, memory)


def _warmup_and_decay(peak: float) -> list[float]:
    """Return the learning rates of a short training: a warmup and a linear decay."""
    up = int(_WARMUP * SHORT_STEPS)
    down = SHORT_STEPS - up
    return [peak * (i + 1) / up for i in range(up)] + [peak * (down - i) / down for i in range(down)]


def _stop_after(seconds: float) -> Callable[[Sequence[float]], bool]:
    end = time.perf_counter() + seconds
    return lambda losses: time.perf_counter() > end or not math.isfinite(losses[-1])


def _scored(probe: Probe) -> tuple[Examples, Examples]:
    """Return examples of `val` and as many of `train`, on which a short training is evaluated."""
    val = probe.data.val.evenly_spaced(SCORED_EXAMPLES)
    return val, probe.data.train.evenly_spaced(val.examples)


def _own_losses(probe: Probe) -> tuple[Tensor, Tensor] | None:
    """Return the values of the task's own loss on `val` and on `train`; None without a loss of its own."""
    if probe.objective.loss is None:
        return None
    at_once = evaluated_together(probe.recipe.budget.batch_size, probe.data.val.device)
    with probe.arithmetic.evaluation():
        outputs = [(logits(probe.model, split, at_once), split.targets) for split in _scored(probe)]
    val, train = (_values(probe.objective, found.float(), targets) for found, targets in outputs)
    return val, train


def _descent(probe: Probe, rate: float, steps: int, before: tuple[Tensor, Tensor]) -> ShortDescent:
    """Compare the task's own loss after a short training with that before it."""
    probe.update_statistics()
    after = _own_losses(probe) or before
    numbers = [
        (old.mean().item(), new.mean().item(), _standard_error(old - new))
        for old, new in zip(before, after, strict=True)
    ]
    return ShortDescent(rate, steps, *numbers[0], *numbers[1])


def _standard_error(values: Tensor) -> float:
    return (values.std() / math.sqrt(len(values))).item() if len(values) > 1 else 0.0


def _evaluate(probe: Probe, rate: float, steps: int) -> ShortTraining:
    """Evaluate a short training on `val` and on the same number of examples of `train`."""
    val, train = _scored(probe)
    probe.update_statistics()
    at_once = evaluated_together(probe.recipe.budget.batch_size, val.device)
    with probe.arithmetic.evaluation():
        on_val, on_train = (per_example(logits(probe.model, split, at_once), split.targets) for split in (val, train))
    counts = _class_counts(probe.data, train.targets)
    # One more example per class, so that the loss of a class that only val has is finite.
    shares = functional.pad(counts, (0, max(0, int(val.targets.max()) + 1 - len(counts)))) + 1.0
    prior = -(shares / shares.sum()).log()[val.targets]
    gain = prior - on_val.nll.double()
    frequent = int(counts.argmax())
    return ShortTraining(
        lr=rate,
        steps=steps,
        accuracy=_share(on_val.predicted == on_val.label),
        train_accuracy=_share(on_train.predicted == on_train.label),
        gain=gain.mean().item(),
        gain_error=(gain.std() / math.sqrt(len(val.targets))).item(),
        majority=_share(val.targets == frequent),
        train_majority=_share(train.targets == frequent),
        examples=len(val.targets),
    )


def _share(which: Tensor) -> float:
    return which.double().mean().item()


def _throughput(recipe: Recipe, data: Data, short: _ShortTrainings) -> Check:
    device = data.train.device
    epoch = data.train.examples / short.samples_per_second + short.val_seconds
    cuda = device.type == "cuda"
    total = torch.cuda.get_device_properties(device).total_memory if cuda else psutil.virtual_memory().total
    used = short.memory / total
    evidence = (
        f"{short.samples_per_second:,.0f} samples/s on {'CUDA' if cuda else _threads()}, {_duration(epoch)} per epoch,"
        f" {_duration(_run_seconds(recipe.budget, data.train.examples, short))} per run of {recipe.budget.text};"
        f" {short.memory / 2**20:,.0f} MiB of memory"
    )
    if used > MEMORY_LIMIT:
        return warned("throughput", f"{evidence}, {used:.0%} of the total", "halve budget.batch_size")
    return passed("throughput", evidence)


def _run_seconds(budget: Budget, examples: int, short: _ShortTrainings) -> float:
    """Return the seconds of a run: its steps, and an evaluation at each report."""
    trained = budget.length * (examples if budget.unit == "epoch" else budget.batch_size * budget.accumulation)
    return trained / short.samples_per_second + budget.reports * short.val_seconds


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} CPU thread{'s' * (count > 1)}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
