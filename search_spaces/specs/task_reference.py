"""Task references: a task and its arguments as one line of text, ``images?root=/data/fashion&val=500``.

A space file writes it as a section, ``task: {images: {root: /data/fashion, val: 500}}``. Arguments define the data.
What varies between runs belongs in the recipe instead.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from search_spaces.values import show

Argument = bool | int | float | str


def write_reference(name: str, arguments: Mapping[str, Argument]) -> str:
    """Return the reference of a task with arguments."""
    if not arguments:
        return name
    return f"{name}?{urlencode({key: _text(value) for key, value in arguments.items()}, safe='/', quote_via=quote)}"


def read_reference(reference: str) -> tuple[str, dict[str, Argument]]:
    """Return the name and the arguments of a task."""
    name, _, query = reference.partition("?")
    return name, {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}


def task_text(task: object) -> object:
    """Return the reference for a task that is written as a section, and anything else unchanged.

    Raises:
        ValueError: The section is not one task with scalar arguments.
    """
    if not isinstance(task, Mapping):
        return task
    if len(task) != 1:
        raise ValueError(f"must be one task, such as {{images: {{root: FOLDER}}}}, found {len(task)} names")
    [(name, arguments)] = task.items()
    if not isinstance(arguments, Mapping):
        raise ValueError(f"must be a task with a section of arguments, found {name}: {show(arguments)}")
    for key, value in arguments.items():
        if not isinstance(value, Argument):
            raise ValueError(f"the argument {key} must be true, false, a number or a text, found {show(value)}")
    return write_reference(name, arguments)


def _text(value: Argument) -> str:
    """Return an argument as text; a string is quoted only if it would be read as a number or a truth value."""
    return value if isinstance(value, str) and isinstance(_value(value), str) else json.dumps(value)


def _value(text: str) -> Argument:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, Argument) else text
