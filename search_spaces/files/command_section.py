"""Read a space whose task is a command: `task.command`, and `args` and `budget` at the top instead of a recipe."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from search_spaces.files.nodes import Section, drop, plain, put
from search_spaces.metric_names import metric_of
from search_spaces.recipe.validation import invalid_values
from search_spaces.specs.command_task import CommandTask

MOVED = ("args", "budget")
"""Sections of the recipe that such a space has at the top."""
_ANY = CommandTask(command=("true", "${args}"))


def has_command(root: Section) -> bool:
    """Return whether the task of a space is a command."""
    task = root.entries.get("task")
    return isinstance(task, Section) and "command" in task.entries


def with_recipe(root: Section) -> Section:
    """Return a space with its `args` and `budget` in a recipe, as any other space has them."""
    recipe = Section(root.mark)
    for name in MOVED:
        if name in root.entries:
            recipe = put(recipe, name, root.entries[name], root.keys[name])
    return put(drop(root, MOVED), "recipe", recipe, root.mark)


def with_metric_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a space with the metric as it is recorded, if they name it as the program does."""
    metric = values.get("metric")
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        return dict(values)
    return {**values, "metric": {**metric, "name": metric_of(metric["name"])}}


def without_budget(task: CommandTask) -> CommandTask:
    """Return the command with a number for its budget, so that nothing follows from an invalid budget."""
    words = (word.replace("${steps}", "1").replace("${epochs}", "1") for word in task.command)
    return task.model_copy(update={"command": tuple(words)})


def read_command(root: Section, report: Callable[[Sequence[str], str], None]) -> CommandTask:
    """Return the command of a space; its problems are reported, and replaced by a command without any."""
    try:
        return CommandTask.model_validate(plain(root.entries["task"]))
    except ValidationError as error:
        for path, message in invalid_values(error, CommandTask):
            report(("task", *path), message)
    return _ANY
