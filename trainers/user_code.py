"""Run a user's code: without the arguments of this program, and with one line about how it failed. Imports no torch."""

import importlib
import signal
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

FAILURES: Final = (Exception, SystemExit, GeneratorExit)
"""What a user's code raises to fail. A ``KeyboardInterrupt`` is not one where a person may press Ctrl-C."""

_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]  # site-packages is a folder of it


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
    """Return one line about an exception of user code: its type, its text and the line that raised it."""
    text = text_of(error).strip().partition("\n")[0]
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    while len(frames) > 1 and _in_standard_library(frames[-1].filename):  # such as argparse
        frames.pop()
    return f"{line} ({frames[-1].filename}:{frames[-1].lineno})" if frames else line


def _in_standard_library(file: str) -> bool:
    return file.startswith(("<frozen", _STANDARD_LIBRARY)) and "-packages" not in file


def exit_cause(code: int | None) -> str:
    """Return how a process ended, from its exit code: ``exit code 3`` or ``killed by SIGKILL``."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
