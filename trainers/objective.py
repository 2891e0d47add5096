"""What a task is trained to minimize and what it reports: its optional members, found by name.

A task with ``classes`` is a classifier: the cross entropy over its logits, and the metrics of a classifier. Each of the
other members is for any task::

    class Prices:
        goals = {"mae": "minimize"}

        def data(self, seed): ...
        def model(self, recipe): ...

        def loss(self, outputs, targets):
            return torch.nn.functional.mse_loss(outputs, targets, reduction="none").mean(1)

        def metrics(self, outputs, targets):
            return {"mae": (outputs - targets).abs().mean()}

        def augment(self, inputs, targets, generator):
            return inputs + 0.1 * torch.randn(inputs.shape, generator=generator).to(inputs.device), targets

``loss`` returns the loss of each example, ``(n,)``, or their mean, a scalar. A mean is multiplied by the number of
examples, so micro-batches of different sizes and several processes count every example once. Only a loss of each
example is exact if the mean of a batch is not one over its examples, as with class weights or ``ignore_index``.

``metrics`` receives the outputs and targets of a whole split and returns a number for each name in ``goals``, which has
their goals: ``"minimize"`` or ``"maximize"``.

``augment`` changes a batch of ``train``: it returns the new inputs and targets, and draws all random numbers from
``generator``, a generator of the CPU.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from search_spaces.errors import RunError, UsageError
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import LOSS, Goal, TaskMetrics, needs_classes
from trainers.nested import describe_tensor
from trainers.task import Task

Loss = Callable[[Tensor, Tensor], Tensor]
Augment = Callable[..., tuple[Tensor, Tensor]]

MEMBERS = ("classes", "loss", "metrics", "goals", "augment")
"""The optional members of a task."""


@dataclass(frozen=True, eq=False)
class Objective:
    """Loss and metrics of a task.

    Attributes:
        classes: Number of classes; None if the task is not a classifier.
        loss: Loss of the task's own; None for the cross entropy.
        metrics: Metrics of the task's own over a whole split; None without any.
        goals: Goal of each of these metrics by name.
        augment: Augmentation of the task's own; None without any.
    """

    classes: int | None
    loss: Loss | None = None
    metrics: Callable[[Tensor, Tensor], Mapping[str, Any]] | None = None
    goals: Mapping[str, Goal] | None = None
    augment: Augment | None = None

    def reports(self, test: bool) -> TaskMetrics:
        """Return the metrics of the task on one split; ``test`` is whether it has that split."""
        own: dict[str, Goal] = {} if self.loss is None else {LOSS: "minimize"}
        return TaskMetrics(self.classes is not None, own | dict(self.goals or {}), test)

    def summed(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return the loss of a batch, summed over its examples: a scalar.

        Raises:
            RunError: The task's own loss has another shape than those that are allowed.
        """
        if self.loss is None:
            return functional.cross_entropy(outputs, targets, reduction="sum", label_smoothing=label_smoothing)
        if not len(targets):
            return outputs.sum() * 0.0  # the mean of no example is NaN
        found = self.own_loss(outputs, targets)
        return found.sum() if found.ndim else found * len(targets)

    def own_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the task's own loss returns for a batch: a scalar, or one value for each example.

        Raises:
            RunError: It has another shape.
        """
        if self.loss is None:
            raise TypeError("the task has no loss of its own")
        found = self.loss(outputs, targets)
        if isinstance(found, Tensor) and found.is_floating_point() and found.shape in ((), (len(targets),)):
            return found
        shape = describe_tensor(found) if isinstance(found, Tensor) else type(found).__name__
        rule = f"must return a float tensor of shape (n,), here ({len(targets)},), or a scalar, the mean over the batch"
        raise RunError(f"loss(outputs, targets) {rule}; found {shape}")

    def own_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the metrics of the task's own over a whole split.

        Raises:
            RunError: Their names are not those of ``goals``, or a value is not a number.
        """
        if self.metrics is None:
            return {}
        found = self.metrics(outputs, targets)
        where, goals = "metrics(outputs, targets)", self.goals or {}
        if not isinstance(found, Mapping) or set(found) != set(goals):
            names = list(found) if isinstance(found, Mapping) else type(found).__name__
            raise RunError(f"{where} must return a dict with the names of goals, {list(goals)}; found {names}")
        try:
            return {name: float(found[name]) for name in goals}
        except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor with several values
            raise RunError(f"{where} must return one number for each name: {error}") from error

    def check_recipe(self, recipe: Recipe, searched: Collection[str] = ()) -> None:
        """Raise a ``UsageError`` if a recipe or a search uses fields that mean nothing for this task."""
        found = [f"{field} {why}" for field, why in needs_classes(recipe, searched, self.reports(test=False))]
        if found:
            raise UsageError(*found)


def objective_of(task: Task) -> Objective:
    """Return the loss and the metrics of a task; nothing is checked here."""
    classes, loss, metrics, goals, augment = (getattr(task, name, None) for name in MEMBERS)
    return Objective(None if classes is None else int(classes), loss, metrics, goals, augment)
