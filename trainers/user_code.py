"""Run a user's code: without the arguments of this program, and with one line about how it failed. Imports no torch."""

import importlib
import signal
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from search_spaces.errors import SweepsError

FAILURES: Final = (Exception, SystemExit, GeneratorExit)
"""What a user's code raises to fail. A ``KeyboardInterrupt`` is not one where a person may press Ctrl-C."""

_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]  # site-packages is a folder of it
_NOT_THE_USERS = ("<frozen", _STANDARD_LIBRARY, str(Path(__file__).parent))


@contextmanager
def as_script(reference: str) -> Iterator[None]:
    """Set ``sys.argv`` in the block to the file of a module alone, for code that parses arguments.

    Args:
        reference: Name of the module, or ``package.module:Name``.
    """
    before = sys.argv
    sys.argv = [f"{reference.partition(':')[0].replace('.', '/')}.py"]
    try:
        yield
    finally:
        sys.argv = before


def import_user_module(name: str) -> ModuleType:
    """Import a module as if its file was run without arguments."""
    with as_script(name):
        return importlib.import_module(name)


def text_of(error: BaseException) -> str:
    """Return the text of an exception; empty if computing it fails, since that is user code, too."""
    try:
        return str(error)
    except FAILURES:
        return ""


def describe(error: BaseException) -> str:
    """Return one line about an exception of user code: its type, its text and the user's line that led to it.

    An error of this project says itself what to do: of it, only the text is returned.
    """
    text = text_of(error).strip().partition("\n")[0]
    if isinstance(error, SweepsError):
        return text
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_the_users(frame.filename)] or frames
    return f"{line} ({own[-1].filename}:{own[-1].lineno})" if own else line


def _is_the_users(file: str) -> bool:
    return not file.startswith(_NOT_THE_USERS) and "-packages" not in file  # such as argparse or torch


def exit_cause(code: int | None) -> str:
    """Return how a process ended, from its exit code: ``exit code 3`` or ``killed by SIGKILL``."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
