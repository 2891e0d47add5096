"""Checks a command before its first run, and computes digests of the files that it consists of."""

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import suppress
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from search_spaces import UsageError
from search_spaces.specs.command_task import CommandTask
from trainers.command.environment import inherited_environment

_DIGEST_BYTES = 16


def prepare_command(command: CommandTask) -> dict[str, Any]:
    """Return the digests of a command's files in the current folder, as the child returns those of a task.

    Raises:
        UsageError: The program or the file of `config` does not exist.
    """
    problems = []
    program = command.command[0]
    if "$" not in program and shutil.which(program, path=inherited_environment()["PATH"]) is None:
        problems.append(f"task.command: {_why_not(program)}")
    if command.config is not None and not Path(command.config).is_file():
        problems.append(f"task.config: there is no file {command.config} in {os.getcwd()}")
    if problems:
        raise UsageError(*problems)
    sources = {name: _digest(path) for name, path in sorted(_files(command).items())}
    return {"data": {}, "sources": sources}


def _why_not(program: str) -> str:
    if os.sep in program and Path(program).is_file():
        return f"{program} is not executable; chmod +x it, or start it with its interpreter: [sh, {program}]"
    return f"there is no program {program}; write its path, or install it"


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()


def _files(command: CommandTask) -> dict[str, Path]:
    """Return the files that a command names, and the modules of the user that its Python scripts import."""
    found: dict[str, Path] = {}
    for word in (*command.command[1:], *([command.config] if command.config else [])):
        path = Path(word)
        with suppress(OSError, ValueError):  # a word may be no path at all
            if path.is_file():
                found[word] = path
                found |= _imported(path) if path.suffix == ".py" else {}
    return found


def _imported(script: Path) -> dict[str, Path]:
    finder = ModuleFinder(path=[str(script.resolve().parent), os.getcwd()])
    with suppress(Exception), warnings.catch_warnings():  # a file of the user may be no valid Python
        warnings.simplefilter("ignore")
        finder.run_script(str(script))
    return dict(_own(finder))


def _own(finder: ModuleFinder) -> Iterator[tuple[str, Path]]:
    for name, module in finder.modules.items():
        path = getattr(module, "__file__", None)
        if path is not None and name != "__main__":
            yield name, Path(path)
