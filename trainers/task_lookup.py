"""Look up a task by its reference: the name of a built-in task, or ``package.module:Name`` of a user's own."""

import difflib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from search_spaces.errors import UsageError
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from search_spaces.specs.task_reference import read_reference
from trainers.task import Task
from trainers.user_code import FAILURES, as_script, describe, import_user_module

Loop = Callable[..., Any]
"""A user's own training loop: a generator function, see loop/user_loop.py."""


@cache
def load_target(reference: str) -> Task | Loop:
    """Return the task or the user's own training loop that a reference names.

    A class, or a function that returns a task, is called with the reference's arguments. An instance or a loop is
    returned as it is. Within one process, the same reference always returns the same object.

    Raises:
        UsageError: The name is unknown, its import fails, or it is neither a task nor a loop.
    """
    name, arguments = read_reference(reference)
    found = _import(name)
    if inspect.isgeneratorfunction(found) or (
        not inspect.isclass(found) and isinstance(found, Task) and _has_loss(found)
    ):
        if arguments:
            raise UsageError(f"task {name}: takes no arguments, found {', '.join(arguments)}")
        return found
    if not callable(found):
        raise UsageError(f"task {name}: {_not_a_task(found)}")
    try:
        with as_script(name):
            task = found(**arguments)
    except UsageError:
        raise
    except FAILURES as error:
        how = f"with {', '.join(arguments)}" if arguments else "without arguments"
        raise UsageError(f"task {name}: calling it {how} failed: {describe(error)}") from error
    if not isinstance(task, Task) or not _has_loss(task):
        raise UsageError(f"task {name}: {_not_a_task(task)}")
    return task


def load_task(reference: str) -> Task:
    """Return the task that a reference names.

    Raises:
        UsageError: As for ``load_target``; or the reference names a training loop.
    """
    target = load_target(reference)
    if isinstance(target, Task):
        return target
    raise UsageError(f"task {reference}: must be a task here, found a training loop (a generator function)")


def _target(name: str) -> str:
    builtin = BUILTIN_TASKS.get(name)
    return name if builtin is None else f"trainers.tasks.{builtin.target}"


def _import(reference: str) -> object:
    module_name, colon, attribute = _target(reference).partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(_unknown(reference))
    try:
        module = import_user_module(module_name)
    except FAILURES as error:
        raise UsageError(f"task {reference}: {_import_failure(module_name, error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise UsageError(f"task {reference}: {module_name} has no {attribute}{_nearest(attribute, names)}") from error


def _import_failure(module_name: str, error: BaseException) -> str:
    """Return why an import failed: the module does not exist, it raised an error, or it ended the process."""
    if isinstance(error, SystemExit):
        main = 'move its arguments and what it runs under `if __name__ == "__main__":`'
        return f"cannot import {module_name}: {describe(error)}; {main}"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{module_name}.".startswith(f"{missing}."):
        return f"there is no module {missing}; its folder must be on PYTHONPATH"
    return f"cannot import {module_name}: {describe(error)}"


def _unknown(reference: str) -> str:
    names = ", ".join(sorted(BUILTIN_TASKS))
    return (
        f"task {reference!r} is unknown{_nearest(reference, list(BUILTIN_TASKS))}; "
        f"built-in tasks are {names}; write your own as package.module:Name"
    )


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _has_loss(value: object) -> bool:
    return hasattr(value, "classes") or hasattr(value, "loss")


def _not_a_task(value: object) -> str:
    missing = [name for name in ("data", "model") if not hasattr(value, name)]
    missing += [] if _has_loss(value) else ["classes or loss"]
    return f"a {type(value).__name__} is not a task: it lacks {', '.join(missing)}"
