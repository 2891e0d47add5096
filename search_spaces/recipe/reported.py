"""The metrics that a training reports for a recipe, known before it starts. A training loop reports its own."""

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Literal, NamedTuple

from search_spaces import metric_names
from search_spaces.errors import suggest
from search_spaces.metric_names import RAW, SCORES, TEMPERATURE, metric_name, with_temperature
from search_spaces.recipe.averaging import SWA, NoAverage
from search_spaces.recipe.fields import lookup
from search_spaces.recipe.recipe import Recipe

Goal = Literal["maximize", "minimize"]

LOSS = "loss"
"""Name of the loss of a task that has one of its own, on every split."""


class TaskMetrics(NamedTuple):
    """The metrics of a task on one split, whatever the recipe.

    Attributes:
        classifier: Whether it reports the metrics of a classifier, and its predictions.
        own: Goal of each further metric by name: `loss` if the task has one of its own, and its `metrics`.
        test: Whether it has a split `test`.
    """

    classifier: bool = True
    own: Mapping[str, Goal] = {}
    test: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics on one split."""
        return (*(SCORES if self.classifier else ()), *self.own)


CLASSIFIER = TaskMetrics()

# Each with the reason why it needs a classifier.
_CLASSES_ONLY = {
    "regularization.label_smoothing": "spreads probability over classes",
    "regularization.mixup": "mixes the classes of two examples",
    "regularization.cutmix": "mixes the classes of two examples",
    "signals.fgsm": "attacks the cross entropy of a classifier",
}


def epoch_metrics(recipe: Recipe, task: TaskMetrics = CLASSIFIER) -> tuple[str, ...]:
    """Return the metrics on `val` that every epoch reports."""
    if recipe.budget.reports == 1:
        return tuple(name for name in final_metrics(recipe, task) if name.startswith("val/"))
    averaging = recipe.averaging
    # The mean of the last epochs does not exist before them.
    late = isinstance(averaging, SWA) and averaging.first(recipe.budget.reports) > 0
    weights = [RAW] if late else _trained_weights(recipe)
    return tuple(metric_name("val", score, one) for one, score in product(weights, task.names))


def final_metrics(recipe: Recipe, task: TaskMetrics = CLASSIFIER) -> tuple[str, ...]:
    """Return the metrics on `val` and `test` that the last epoch reports."""
    trained = _trained_weights(recipe)
    changed = [*map(metric_names.pruned, recipe.signals.pruning), *map(metric_names.fgsm, recipe.signals.fgsm)]
    calibrated = [with_temperature(one) for one in trained] if task.classifier else []
    splits = ("val", "test") if task.test else ("val",)
    found = [
        *product(splits, trained, task.names),
        *product(splits, calibrated, SCORES),
        *product(splits, changed, task.names),
        *(("val", one, TEMPERATURE) for one in trained if task.classifier),
    ]
    return tuple(metric_name(split, score, one) for split, one, score in found)


def unreported(name: str, reported: tuple[str, ...], when: str = "in every epoch") -> str | None:
    """Return an error message if a metric is not among those that are reported, else None."""
    if name in reported:
        return None
    return f"the task does not report {name} {when}; {suggest(name, reported)}"


def wrong_goal(name: str, goal: str, task: TaskMetrics) -> str | None:
    """Return an error message if a goal contradicts that of the task for one of its own metrics, else None."""
    declared = task.own.get(metric_names.split_weights(name)[0])
    if declared in (None, goal):
        return None
    return f"must be {declared} for {name}, as the task declares, found {goal}"


def needs_classes(recipe: Recipe, searched: Collection[str], task: TaskMetrics) -> Iterator[tuple[str, str]]:
    """Yield the fields that a recipe or a search uses although they mean nothing for a task, each with the rule.

    Args:
        recipe: The recipe.
        searched: Fields that vary between runs.
        task: Metrics of the task.
    """
    for field, what in _CLASSES_ONLY.items():
        if field not in searched and not lookup(recipe, field):
            continue
        if not task.classifier:
            yield field, f"{what}, but the task has no classes; remove it"
        elif LOSS in task.own and field == "regularization.label_smoothing":
            yield field, f"{what} in the cross entropy, but the task has a loss of its own; remove it"


def _trained_weights(recipe: Recipe) -> list[str]:
    averaging = recipe.averaging
    return [RAW] if isinstance(averaging, NoAverage) else [RAW, averaging.kind]
