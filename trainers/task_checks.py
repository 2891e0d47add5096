"""Check a user's task before anything is trained."""

import inspect
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import TaskMetrics, epoch_metrics, final_metrics, unreported, wrong_goal
from search_spaces.seeds import derive_seed
from search_spaces.specs.ablation_parts import ArmMetric
from trainers.compute.batches import check_batches
from trainers.data.checks import check_processes, read_some
from trainers.evaluation.fgsm import check_fgsm
from trainers.lazy_layers import initialize_lazy_layers
from trainers.loop.augmentation import check_mixing
from trainers.loop.fingerprint import data_digests
from trainers.nested import Inputs, count_examples, describe_inputs, describe_tensor, first, leaves
from trainers.objective import objective_of
from trainers.objective_checks import call, check_members, check_objective
from trainers.optim.layer_groups import freeze
from trainers.seeding import global_stream, seed_for
from trainers.task import Data, Examples, Split, Task
from trainers.task_lookup import Loop, load_target
from trainers.user_code import FAILURES, describe


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
    check_members(where, task)
    objective = objective_of(task)
    _check_fields(where, task, recipe)
    data = call(f"{where}: data(seed)", lambda: task.data(seed_for(task, derive_seed(seed, "split"))))
    _check_data(where, objective.classes, data)
    check_processes(data.train, processes)
    inputs = data.train.sample(2).inputs
    check_mixing(recipe.regularization, inputs)
    check_fgsm(recipe.signals, inputs)
    with global_stream(seed, "init"):
        model = call(f"{where}: model(recipe)", lambda: task.model(recipe))
        _check_trainable(where, model, inputs)
    for examples in (2, 1):  # a last batch may have one
        _check_outputs(where, objective.classes, model, first(data.val.sample(2).inputs, examples))
    check_objective(where, objective, model, data, recipe.budget.batch_size)
    freeze(model, recipe.groups.frozen)
    check_batches(model, inputs, recipe)
    digests = call(f"{where}: the data", lambda: data_digests(data))
    data.close()
    return digests


def check_metric(reference: str, recipe: Recipe, metric: str, goal: str, searched: Collection[str] = ()) -> None:
    """Check the metric of a sweep and its search; what a training loop reports is not known yet.

    Args:
        reference: Reference to the task.
        recipe: Recipe of the baseline.
        metric: Metric that the sweep optimizes.
        goal: Its goal.
        searched: Fields that vary between runs.

    Raises:
        UsageError: The task does not report the metric, declares another goal, or has no use for a field.
    """
    task = load_target(reference)
    if not isinstance(task, Task):
        return
    where, reports = f"task {reference}", objective_of(task).reports(test=False)
    _check_fields(where, task, recipe, searched)
    if message := unreported(metric, epoch_metrics(recipe, reports)):
        raise UsageError(f"{where}: metric.name: {message}; a metric of your own needs metrics(outputs, targets)")
    if message := wrong_goal(metric, goal, reports):
        raise UsageError(f"{where}: metric.goal: {message}")


def check_arms(reference: str, arms: Sequence[ArmMetric], goal: str, test: bool) -> None:
    """Check that a task reports what an ablation compares; what a training loop reports is not known yet.

    Args:
        reference: Reference to the task.
        arms: Recipe and metric of each arm.
        goal: Goal of the metric.
        test: Whether the data have a split ``test``.

    Raises:
        UsageError: The task does not report the metric of an arm, declares another goal, or has no use for a field.
    """
    task = load_target(reference)
    if not isinstance(task, Task):
        return
    where, reports = f"task {reference}", objective_of(task).reports(test)
    for arm in arms:
        _check_fields(f"{where}: arm {arm.name}", task, arm.recipe)
        if message := _not_compared(arm, reports) or wrong_goal(arm.metric, goal, reports):
            raise UsageError(f"{where}: arm {arm.name}: metrics.primary: {message}")


def _not_compared(arm: ArmMetric, reports: TaskMetrics) -> str | None:
    """Return why the metric of an arm is unknown, or None."""
    if not reports.test and arm.metric.startswith("test/"):
        instead = f"val/{arm.metric.removeprefix('test/').partition('@')[0]}"
        ways = f"return a test split, or compare on val: metrics.primary: {instead}"
        return f"{arm.metric} needs a test split, and data(seed).test is None; {ways}"
    return unreported(arm.metric, final_metrics(arm.recipe, reports), "at the end")


def _check_fields(where: str, task: Task, recipe: Recipe, searched: Collection[str] = ()) -> None:
    try:
        objective_of(task).check_recipe(recipe, searched)
    except UsageError as error:
        raise UsageError(*(f"{where}: {problem}" for problem in error.problems)) from None


def _check_data(where: str, classes: int | None, data: object) -> None:
    if not isinstance(data, Data):
        raise UsageError(f"{where}: data(seed) must return a trainers.tasks.Data, found a {type(data).__name__}")
    for name, split in data.splits.items():
        _check_split(f"{where}: data(seed).{name}", classes, split)


def _check_split(where: str, classes: int | None, split: object) -> None:
    if isinstance(split, Examples) and not isinstance(split, Split):
        split = _loaded(where, split)
    if not isinstance(split, Split) or not isinstance(split.targets, Tensor):
        raise UsageError(f"{where} must be a trainers.tasks.Split of tensors, a DatasetSplit or an IterableSplit")
    found = leaves(split.inputs)
    if not found or not all(isinstance(tensor, Tensor) and tensor.ndim for _, tensor in found):
        raise UsageError(f"{where}.inputs must be tensors (n, ...), found {describe_inputs(split.inputs) or 'none'}")
    if any(tensor.is_floating_point() and not bool(tensor.isfinite().all()) for _, tensor in found):
        raise UsageError(f"{where}.inputs contain NaN or infinity")
    targets = split.targets
    if targets.ndim == 0 or (classes is not None and (targets.dtype != torch.int64 or targets.ndim != 1)):
        rule = "int64 of shape (n,)" if classes is not None else "of shape (n, ...)"
        raise UsageError(f"{where}.targets must be {rule}, found {describe_tensor(targets)}")
    for at, tensor in found:
        if len(targets) == 0 or len(tensor) != len(targets):
            raise UsageError(
                f"{where} must have as many inputs{at} as targets, at least 1; found {len(tensor)} and {len(targets)}"
            )
    if classes is None:
        return
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise UsageError(f"{where}.targets must be 0 .. {classes - 1} for {classes} classes, found {low} .. {high}")


def _loaded(where: str, split: Examples) -> Split:
    """Return some examples of a split that is loaded, to check them like those of a split in memory."""
    try:
        return read_some(split)
    except FAILURES as error:
        found = str(error) if isinstance(error, UsageError) else f"loading a batch failed: {describe(error)}"
        raise UsageError(f"{where}: {found}") from error


def _check_trainable(where: str, model: object, inputs: Inputs) -> None:
    if not isinstance(model, nn.Module):
        raise UsageError(f"{where}: model(recipe) must return a torch.nn.Module, found a {type(model).__name__}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"{where}: the model of model(recipe) has no parameter to train")
    call(f"{where}: the model's first forward", lambda: initialize_lazy_layers(model, inputs))


def _check_outputs(where: str, classes: int | None, model: nn.Module, inputs: Inputs) -> None:
    model.eval()
    count = count_examples(inputs)
    shapes = str(tuple(inputs.shape)) if isinstance(inputs, Tensor) else describe_inputs(inputs)
    with torch.inference_mode():
        outputs = call(f"{where}: the model's forward on inputs {shapes}", lambda: model(inputs))
    found = describe_tensor(outputs) if isinstance(outputs, Tensor) else type(outputs).__name__
    if classes is None:
        if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or outputs.shape[:1] != (count,):
            raise UsageError(f"{where}: the model must return float outputs ({count}, ...), found {found}")
    elif not isinstance(outputs, Tensor) or outputs.shape != (count, classes) or not outputs.is_floating_point():
        raise UsageError(f"{where}: the model must return float logits ({count}, {classes}), found {found}")


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
