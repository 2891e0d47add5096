"""References to what a user trains: the name of a built-in task, or ``package.module:Name`` of their own."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from search_spaces.errors import UsageError
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from search_spaces.specs.task_reference import read_reference
from trainers.task import Task

Loop = Callable[..., Any]
"""A user's own training loop: a generator function, see generator.py."""


@cache
def load_target(reference: str) -> Task | Loop:
    """Return what a reference names: a task, or a user's own training loop.

    A class, or a function that returns a task, is called with the reference's arguments; an instance is taken as it
    is, and so is a loop.
    The same reference gives the same object all through a process.

    Raises:
        UsageError: Nothing has this name, it cannot be imported, or it is neither a task nor a loop.
    """
    name, arguments = read_reference(reference)
    found = _import(name)
    if inspect.isgeneratorfunction(found) or (not inspect.isclass(found) and isinstance(found, Task)):
        if arguments:
            raise UsageError(f"task {name}: takes no arguments, found {', '.join(arguments)}")
        return found
    if not callable(found):
        raise UsageError(f"task {name}: {_not_a_task(found)}")
    try:
        task = found(**arguments)
    except UsageError:
        raise
    except Exception as error:
        how = f"with {', '.join(arguments)}" if arguments else "without arguments"
        raise UsageError(f"task {name}: calling it {how} failed: {describe(error)}") from error
    if not isinstance(task, Task):
        raise UsageError(f"task {name}: {_not_a_task(task)}")
    return task


def load_task(reference: str) -> Task:
    """Return the task that a reference names.

    Raises:
        UsageError: As ``load_target``; or the reference names a training loop.
    """
    target = load_target(reference)
    if isinstance(target, Task):
        return target
    raise UsageError(f"task {reference}: is a training loop (a generator function); a task is needed here")


def describe(error: BaseException) -> str:
    """Return one line about an exception that user code raised: its type, its text and where it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    text = str(error).strip().partition("\n")[0]
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if trace is None else f"{line} ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _target(name: str) -> str:
    builtin = BUILTIN_TASKS.get(name)
    return name if builtin is None else f"trainers.tasks.{builtin.target}"


def _import(reference: str) -> object:
    module_name, colon, attribute = _target(reference).partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(_unknown(reference))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UsageError(f"task {reference}: {_import_failure(module_name, error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise UsageError(f"task {reference}: {module_name} has no {attribute}{_nearest(attribute, names)}") from error


def _import_failure(module_name: str, error: Exception) -> str:
    """Tell a module that is not there from one that fails while it is imported."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{module_name}.".startswith(f"{missing}."):
        return f"there is no module {missing}; its folder has to be on PYTHONPATH"
    return f"cannot import {module_name}: {describe(error)}"


def _unknown(reference: str) -> str:
    names = ", ".join(sorted(BUILTIN_TASKS))
    return (
        f"task {reference!r} is unknown{_nearest(reference, list(BUILTIN_TASKS))}; "
        f"built in are {names}, your own is written package.module:Name"
    )


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _not_a_task(value: object) -> str:
    missing = [name for name in ("classes", "data", "model") if not hasattr(value, name)]
    return f"a {type(value).__name__} is not a task: it lacks {', '.join(missing)}"
