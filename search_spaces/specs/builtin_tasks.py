"""The built-in tasks: where each is defined, and what is known about it without loading torch."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from search_spaces.recipe.reported import CLASSIFIER, Goal, TaskMetrics

Family = Literal["transformer", "cnn", "rnn", "mlp"]


class BuiltinTask(NamedTuple):
    """A built-in task.

    Attributes:
        target: Class or function in `trainers.tasks`, as `module:name`.
        family: Family of the model, unless `model.kind` chooses another.
        pretrained: Whether the model is pretrained.
        new_head: Whether a pretrained model gets a new output layer.
        metric: Metric to select runs by.
        goal: Goal of the metric.
        metrics: Metrics of the task itself.
        reports: Every metric on `val` of a training loop; None for a task, whose metrics follow from the recipe.
    """

    target: str
    family: Family
    pretrained: bool = False
    new_head: bool = False
    metric: str = "val/accuracy"
    goal: Goal = "maximize"
    metrics: TaskMetrics = CLASSIFIER
    reports: tuple[str, ...] | None = None


_OF_CHARACTERS = TaskMetrics(
    classifier=False, own={"loss": "minimize", "bits_per_character": "minimize", "accuracy": "maximize"}
)


BUILTIN_TASKS: Mapping[str, BuiltinTask] = {
    "cartpole": BuiltinTask("cartpole:train", "mlp", metric="val/return", reports=("val/return",)),
    "characters": BuiltinTask(
        "characters:Characters", "transformer", metric="val/loss", goal="minimize", metrics=_OF_CHARACTERS
    ),
    "digits": BuiltinTask("digits:Digits", "cnn"),
    "images": BuiltinTask("images:ImageFolder", "cnn"),
    "mnist1d": BuiltinTask("mnist1d:Mnist1d", "mlp"),
    # It has the same ten classes, so its head is pretrained, too.
    "mnist1d_transfer": BuiltinTask("mnist1d_transfer:Mnist1dTransfer", "cnn", pretrained=True),
    "text": BuiltinTask("text:TextClassification", "transformer", pretrained=True, new_head=True),
}
