"""Check a user's task before anything is trained."""

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import TypeVar

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import epoch_metrics, unreported
from search_spaces.seeds import derive_seed
from trainers.compute.batches import check_batches
from trainers.evaluation.fgsm import check_fgsm
from trainers.lazy_layers import initialize_lazy_layers
from trainers.loop.augmentation import check_mixing
from trainers.loop.fingerprint import data_digests
from trainers.optim.layer_groups import freeze
from trainers.seeding import global_stream, seed_for
from trainers.task import Data, Split, Task, describe_tensor
from trainers.task_lookup import Loop, load_target
from trainers.user_code import FAILURES, describe

_T = TypeVar("_T")


def prepare(reference: str, recipe: Recipe, seed: int, processes: int = 1) -> Mapping[str, str]:
    """Check that a task can be trained, before any worker starts; this also fills its caches.

    A training loop is only imported, since running it would train.

    Returns:
        Digest of each split of the data by name; empty for a training loop.

    Raises:
        UsageError: The task cannot be trained; the message says how to fix it.
    """
    task = load_target(reference)
    if not isinstance(task, Task):
        check_loop(reference, task, processes)
        return {}
    where = f"task {reference}"
    data = _call(f"{where}: data(seed)", lambda: task.data(seed_for(task, derive_seed(seed, "split"))))
    _check_data(where, task.classes, data)
    check_mixing(recipe.regularization, data.train.inputs)
    check_fgsm(recipe.signals, data.train.inputs)
    with global_stream(seed, "init"):
        model = _call(f"{where}: model(recipe)", lambda: task.model(recipe))
        _check_trainable(where, model, data.train.inputs)
    for examples in (2, 1):  # a last batch may have one
        _check_logits(where, task.classes, model, data.val.inputs[:examples])
    freeze(model, recipe.groups.frozen)
    check_batches(model, data.train.inputs, recipe)
    return data_digests(data)


def check_metric(reference: str, recipe: Recipe, metric: str) -> None:
    """Raise a ``UsageError`` if a task does not report a metric; what a training loop reports is not known yet."""
    if isinstance(load_target(reference), Task) and (message := unreported(metric, epoch_metrics(recipe))):
        raise UsageError(f"task {reference}: metric.name: {message}; a metric of your own needs a training loop")


def _call(what: str, call: Callable[[], _T]) -> _T:
    """Call user code; raise any exception of it as a one-line ``UsageError``."""
    try:
        return call()
    except UsageError:
        raise
    except FAILURES as error:
        raise UsageError(f"{what} failed: {describe(error)}") from error


def _check_data(where: str, classes: object, data: object) -> None:
    if not isinstance(classes, Integral) or int(classes) < 2:  # int and the integers of numpy
        raise UsageError(f"{where}: classes must be an integer of at least 2, found {classes!r}")
    if not isinstance(data, Data):
        raise UsageError(f"{where}: data(seed) must return a trainers.tasks.Data, found a {type(data).__name__}")
    for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        _check_split(f"{where}: data(seed).{name}", int(classes), split)


def _check_split(where: str, classes: int, split: object) -> None:
    if not isinstance(split, Split) or not isinstance(split.inputs, Tensor) or not isinstance(split.targets, Tensor):
        raise UsageError(f"{where} must be a trainers.tasks.Split of two tensors")
    if split.inputs.is_floating_point() and not bool(split.inputs.isfinite().all()):
        raise UsageError(f"{where}.inputs contain NaN or infinity")
    targets = split.targets
    if targets.dtype != torch.int64 or targets.ndim != 1:
        raise UsageError(f"{where}.targets must be int64 of shape (n,), found {describe_tensor(targets)}")
    if len(targets) == 0 or len(split.inputs) != len(targets):
        raise UsageError(
            f"{where} must have as many inputs as targets, at least 1; found {len(split.inputs)} and {len(targets)}"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise UsageError(f"{where}.targets must be 0 .. {classes - 1} for {classes} classes, found {low} .. {high}")


def _check_trainable(where: str, model: object, inputs: Tensor) -> None:
    if not isinstance(model, nn.Module):
        raise UsageError(f"{where}: model(recipe) must return a torch.nn.Module, found a {type(model).__name__}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"{where}: the model of model(recipe) has no parameter to train")
    _call(f"{where}: the model's first forward", lambda: initialize_lazy_layers(model, inputs))


def _check_logits(where: str, classes: int, model: nn.Module, inputs: Tensor) -> None:
    model.eval()
    with torch.inference_mode():
        logits = _call(f"{where}: the model's forward on inputs {tuple(inputs.shape)}", lambda: model(inputs))
    if not isinstance(logits, Tensor) or logits.shape != (len(inputs), classes) or not logits.is_floating_point():
        found = describe_tensor(logits) if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"{where}: the model must return float logits ({len(inputs)}, {classes}), found {found}")


def check_loop(reference: str, loop: Loop, processes: int) -> None:
    """Raise a ``UsageError`` if a user's own loop cannot be called, or is given several processes."""
    if processes > 1:
        raise UsageError(
            f"task {reference}: a training loop runs in one process, which manages its own devices; set"
            f" resources.processes to 1, found {processes}"
        )
    signature = inspect.signature(loop, follow_wrapped=False)  # of what is called, not of what it decorates
    try:
        signature.bind({}, 0, None)
    except TypeError as error:
        name = getattr(loop, "__name__", "it")
        raise UsageError(
            f"task {reference}: a training loop is called as train(config, seed, state), but {name}{signature} takes"
            f" other arguments: {error}"
        ) from error
