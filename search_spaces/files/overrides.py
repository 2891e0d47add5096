"""`--set field=value` texts: recipe fields that a person fixes for one sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import Problem, SpecError, UsageError
from search_spaces.files.nodes import Items, Leaf, Node
from search_spaces.files.yaml_parser import parse_yaml
from search_spaces.recipe.fields import resolve, unknown_field
from search_spaces.recipe.recipe import Recipe
from search_spaces.values import Scalar, Value, show


@dataclass(frozen=True)
class Override:
    """One `--set` text.

    Attributes:
        where: The option as it was given, for messages.
        field: Dotted field of the recipe.
        value: Its value.
    """

    where: str
    field: str
    value: Value


def parse_override(text: str) -> Override:
    """Read `field=value`; the value is a YAML scalar, or a list of them as in `[0.9, 0.98]`.

    Raises:
        UsageError: When it is something else.
    """
    shown = "".join(char if char.isprintable() else " " for char in text[:120])
    where = f"--set {shown.strip()}"
    field, equals, value = text.partition("=")
    field = field.strip()
    if not equals or not field.isprintable():
        raise UsageError(Problem(where, "", "must be field=value, such as budget.epochs=9"))
    try:
        node = parse_yaml(value, where)
    except SpecError as error:
        messages = [problem.message for problem in error.problems if isinstance(problem, Problem)]
        raise UsageError(*(Problem(where, field, message) for message in messages)) from None
    return Override(where, field, _value(node, where, field))


def _value(node: Node, where: str, field: str) -> Value:
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Items):
        scalars: list[Scalar] = [item.value for item in node.items if isinstance(item, Leaf)]
        if len(scalars) == len(node.items):
            return tuple(scalars)
    raise UsageError(Problem(where, field, "must be a number, a text, true, false, null or a list of them"))


def apply_overrides(recipe: Recipe, settings: Sequence[Override]) -> Recipe:
    """Return the recipe with the settings applied together; of two for one field, the later one counts.

    Raises:
        UsageError: With a problem for each setting that names no field or breaks a law.
    """
    # resolve() takes new custom names, but here one is more likely to be a slip.
    problems = [
        Problem(setting.where, setting.field, message)
        for setting in settings
        if setting.field.startswith("custom.") and (message := unknown_field(recipe, setting.field))
    ]
    try:
        resolved = resolve(recipe, {setting.field: setting.value for setting in settings})
    except UsageError as error:
        problems += (_blame(problem, settings) for problem in error.problems if isinstance(problem, Problem))
    if problems:
        raise UsageError(*problems)
    return resolved


def _blame(problem: Problem, settings: Sequence[Override]) -> Problem:
    """Return the problem with the option that caused it: the last one at, or else within, its field."""
    for setting in reversed(settings):
        if setting.field == problem.field or problem.field.startswith(f"{setting.field}."):
            return Problem(setting.where, problem.field, problem.message)
    for setting in reversed(settings):
        if setting.field.startswith(f"{problem.field}."):
            return Problem(setting.where, problem.field, problem.message)
    return Problem(f"--set {show(problem.field)}", problem.field, problem.message)
