"""Check the optional members of a user's task before anything is trained: loss, metrics and augmentation."""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import TypeVar

import torch
from torch import Tensor, nn

from search_spaces.errors import RunError, UsageError
from search_spaces.metric_names import SCORES, TEMPERATURE
from search_spaces.recipe.reported import LOSS
from search_spaces.values import show
from trainers.evaluation.evaluate import logits
from trainers.nested import describe_tensor, leaves
from trainers.objective import Objective
from trainers.seeding import stream
from trainers.task import Data, Split, Task
from trainers.user_code import FAILURES, describe

_T = TypeVar("_T")

MOST_EXAMPLES = 256
MOST_VAL_EXAMPLES = 1000  # of metrics: that of a few examples may be undefined, as the AUC of one class
_METRIC = re.compile(r"[^\W\d][\w.-]*")
_BROADCAST = "Using a target size"  # torch's warning
_LOSS, _METRICS, _AUGMENT = "loss(outputs, targets)", "metrics(outputs, targets)", "augment(inputs, targets, generator)"


def call(what: str, function: Callable[[], _T]) -> _T:
    """Call user code; raise any exception of it as a ``UsageError`` of one line for each problem."""
    try:
        return function()
    except UsageError as error:
        raise UsageError(*(f"{what}: {problem}" for problem in error.problems)) from error
    except FAILURES as error:
        raise UsageError(f"{what} failed: {describe(error)}") from error


def check_members(where: str, task: Task) -> None:
    """Raise a ``UsageError`` with one line for each optional member that has the wrong type."""
    problems = [*_class_problems(task), *_callable_problems(task), *_goal_problems(task)]
    if problems:
        raise UsageError(*(f"{where}: {problem}" for problem in problems))


def _class_problems(task: Task) -> Iterator[str]:
    classes = getattr(task, "classes", None)
    if classes is None and hasattr(task, LOSS):
        return
    if not isinstance(classes, Integral) or int(classes) < 2:  # int and the integers of numpy
        yield f"classes must be an integer of at least 2, found {classes!r}"


def _callable_problems(task: Task) -> Iterator[str]:
    for name, written in (("loss", _LOSS), ("metrics", _METRICS), ("augment", _AUGMENT)):
        found = getattr(task, name, None)
        if hasattr(task, name) and not callable(found):
            yield f"{name} must be a method {written}, found a {type(found).__name__}"


def _goal_problems(task: Task) -> Iterator[str]:
    goals = getattr(task, "goals", None)
    if goals is None and not hasattr(task, "metrics"):
        return
    example = 'such as goals = {"mae": "minimize"}'
    if goals is None:
        yield f"metrics needs the goal of each metric, {example}; found no goals"
        return
    if not hasattr(task, "metrics"):
        yield f"goals needs a method {_METRICS} that returns these metrics; found none"
    if not isinstance(goals, Mapping) or not goals:
        yield f"goals must be a dict of names and goals, {example}, found {show(goals)}"
        return
    taken = (LOSS, *((*SCORES, TEMPERATURE) if hasattr(task, "classes") else ()))
    for name, goal in goals.items():
        if not isinstance(name, str) or not _METRIC.fullmatch(name):
            yield f"goals: a name must be letters, digits, dots, dashes and underscores, found {show(name)}"
        elif name in taken:
            yield f"goals: {name} is reported already; choose another name"
        if goal not in ("minimize", "maximize"):
            yield f"goals: {name} must be minimize or maximize, found {show(goal)}"


def check_objective(where: str, objective: Objective, model: nn.Module, data: Data, batch_size: int) -> None:
    """Check the loss, the metrics and the augmentation of a task with its new model.

    Args:
        where: Start of every message.
        objective: Members of the task, of valid types.
        model: Model with its initial weights, on the device of the data.
        data: Splits of the task.
        batch_size: Number of examples of a training batch.

    Raises:
        UsageError: One of them fails or returns something else than it must.
    """
    batch = data.train.draw(min(batch_size, MOST_EXAMPLES), 0)
    if objective.augment is not None:
        batch = _check_augment(f"{where}: {_AUGMENT}", objective, batch)
    if objective.loss is not None:
        for examples in (batch, data.val.draw(1, 0)):  # a last batch may have one
            _check_loss(f"{where}: {_LOSS}", where, objective, model, examples)
    if objective.metrics is not None:
        sample = data.val.evenly_spaced(MOST_VAL_EXAMPLES)
        outputs = logits(model, sample)
        with _same_shapes(f"{where}: {_METRICS}", outputs, sample.targets):
            _run(where, _METRICS, lambda: objective.own_metrics(outputs, sample.targets))


def _run(where: str, what: str, function: Callable[[], _T]) -> _T:
    """Call a member; its own exceptions and wrong results become one line."""

    def named() -> _T | RunError:
        try:
            return function()
        except RunError as error:  # it names the member
            return error

    found = call(f"{where}: {what}", named)
    if isinstance(found, RunError):
        raise UsageError(f"{where}: {found}") from found
    return found


def _check_loss(named: str, where: str, objective: Objective, model: nn.Module, batch: Split) -> None:
    outputs = logits(model, batch).clone().requires_grad_(True)
    with _same_shapes(named, outputs, batch.targets):
        loss = _run(where, _LOSS, lambda: objective.own_loss(outputs, batch.targets))
        _check_pairing(objective, outputs, batch.targets)
    if not bool(loss.isfinite().all()):
        count = f"{len(batch)} example{'s' * (len(batch) > 1)}"
        raise UsageError(f"{named} must be finite, found {_first_bad(loss)} for {count} and the initial weights")
    gradient = torch.autograd.grad(loss.sum(), outputs, allow_unused=True)[0] if loss.requires_grad else None
    if gradient is None:
        rule = "must be differentiable with respect to outputs, found a loss without a gradient"
        raise UsageError(f"{named} {rule}; look for detach(), item(), argmax() or numpy")
    if not bool(gradient.isfinite().all()):
        rule = f"must have a finite gradient with respect to outputs, found {_first_bad(gradient)}"
        raise UsageError(f"{named} {rule}; look for the root or the logarithm of 0")


@contextmanager
def _same_shapes(named: str, outputs: Tensor, targets: Tensor) -> Iterator[None]:
    """Raise a ``UsageError`` if the code in the block warns that it compares tensors of different shapes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if any(_BROADCAST in str(one.message) for one in caught):
        found = f"outputs {describe_tensor(outputs)} and targets {describe_tensor(targets)}"
        raise UsageError(f"{named} compares tensors of different shapes, {found}; give both the same shape")


def _check_pairing(objective: Objective, outputs: Tensor, targets: Tensor) -> None:
    """Warn as torch does of a loss whose own arithmetic compares every output with every target.

    The mean of ``(outputs - targets) ** 2`` for ``(n, 1)`` and ``(n,)`` is one over all pairs. The loss of outputs that
    equal their targets is then that of the same outputs with the targets in another order.
    """
    flipped = targets.flip(0)
    if outputs.shape == targets.shape or outputs.numel() != targets.numel() or torch.equal(flipped, targets):
        return
    exact = targets.to(outputs.dtype).reshape(outputs.shape)
    try:
        paired, other = (objective.summed(exact, one).item() for one in (targets, flipped))
    except FAILURES:  # the loss may be undefined for such outputs
        return
    if math.isclose(paired, other, rel_tol=1e-5):
        warnings.warn(f"{_BROADCAST} that broadcasts", stacklevel=1)


def _first_bad(values: Tensor) -> float:
    return values[~values.isfinite()].flatten()[0].item()


def _check_augment(named: str, objective: Objective, batch: Split) -> Split:
    """Check the augmentation of a batch; return the batch that it makes."""
    once, twice = (_augmented(named, objective, batch) for _ in range(2))
    pairs = list(zip(_tensors(once), _tensors(twice), strict=True))
    # A value that is NaN differs from itself.
    if not all(torch.equal(*pair) or bool(pair[0].isnan().any()) for pair in pairs):
        raise UsageError(f"{named} must draw every random number from generator; two calls with equal ones differ")
    return once


def _tensors(split: Split) -> list[Tensor]:
    return [*(one for _, one in leaves(split.inputs)), split.targets]


def _augmented(named: str, objective: Objective, batch: Split) -> Split:
    copy = batch.take(torch.arange(len(batch)))  # it may change its arguments in place
    augment, generator = objective.augment, stream(0, "transform")
    if augment is None:
        return batch
    found = call(named, lambda: augment(copy.inputs, copy.targets, generator))
    pair = tuple(found) if isinstance(found, tuple | list) else ()
    shapes = ", ".join(describe_tensor(one) if isinstance(one, Tensor) else type(one).__name__ for one in pair)
    tensors = [*(one for _, one in leaves(pair[0])), pair[1]] if len(pair) == 2 else []
    if not tensors or not all(isinstance(one, Tensor) and one.ndim and len(one) == len(batch) for one in tensors):
        rule = f"must return (inputs, targets) of {len(batch)} examples, tensors like its arguments"
        raise UsageError(f"{named} {rule}; found {shapes or type(found).__name__}")
    return Split(*pair)
