"""Recipe fields that `--set field=value` fixes for one sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import Problem, SpecError, UsageError
from search_spaces.files.nodes import Items, Leaf, Node
from search_spaces.files.yaml_parser import parse_yaml
from search_spaces.recipe.fields import is_open, resolve, unknown_field
from search_spaces.recipe.recipe import Recipe
from search_spaces.values import Scalar, Value, show


@dataclass(frozen=True)
class Override:
    """One `--set` text.

    Attributes:
        where: Text of the option, for messages.
        field: Dotted field of the recipe.
        value: Value of the field.
    """

    where: str
    field: str
    value: Value


def parse_override(text: str) -> Override:
    """Read `field=value`; the value is a YAML scalar, or a list of them as in `[0.9, 0.98]`.

    Raises:
        UsageError: The text is invalid.
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
    raise UsageError(Problem(where, field, "must be a number, a text, true, false, null or a list of these"))


def apply_overrides(recipe: Recipe, overrides: Sequence[Override]) -> Recipe:
    """Return the recipe with the overrides applied together; the last one for a field counts.

    Raises:
        UsageError: There is a problem for each override with an unknown field or an invalid value.
    """
    # resolve() accepts new names of the user's, but here a new name is more likely to be a mistake.
    problems = [
        Problem(override.where, override.field, message)
        for override in overrides
        if is_open(override.field) and (message := unknown_field(recipe, override.field))
    ]
    try:
        resolved = resolve(recipe, {override.field: override.value for override in overrides})
    except UsageError as error:
        problems += (_with_option(problem, overrides) for problem in error.problems if isinstance(problem, Problem))
    if problems:
        raise UsageError(*problems)
    return resolved


def _with_option(problem: Problem, overrides: Sequence[Override]) -> Problem:
    """Return the problem with the option that caused it: the last one for its field, or else for a part of it."""
    for override in reversed(overrides):
        if override.field == problem.field or problem.field.startswith(f"{override.field}."):
            return Problem(override.where, problem.field, problem.message)
    for override in reversed(overrides):
        if override.field.startswith(f"{problem.field}."):
            return Problem(override.where, problem.field, problem.message)
    return Problem(f"--set {show(problem.field)}", problem.field, problem.message)
