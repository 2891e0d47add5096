"""Checks a command before its first run, and computes digests of the files that it consists of."""

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from search_spaces import Recipe, UsageError
from search_spaces.errors import Problem
from search_spaces.specs.command_task import CommandTask
from trainers.command.config_file import read_config
from trainers.command.environment import inherited_environment
from trainers.command.start import changed_values

_DIGEST_BYTES = 16


def prepare_command(command: CommandTask, recipe: Recipe, folder: Path = Path()) -> dict[str, Any]:
    """Return the digests of a command's files, as the child returns those of a task.

    Args:
        command: The command.
        recipe: Recipe of the baseline.
        folder: Folder in which the command runs; by default, the current one.

    Raises:
        UsageError: The program or the file of `config` does not exist, or cannot be used; has every problem.
    """
    problems = (*_program_problems(command.command[0], folder), *_config_problems(command.config, recipe, folder))
    if problems:
        raise UsageError(*problems)
    sources = {name: _digest(path) for name, path in sorted(_files(command, folder).items())}
    return {"data": {}, "sources": sources}


def _program_problems(program: str, folder: Path) -> Iterator[str]:
    named = str(folder.absolute() / program) if os.sep in program else program
    if "$" in program or shutil.which(named, path=inherited_environment()["PATH"]) is not None:
        return
    if (folder / program).is_file():
        yield f"task.command: {program} is not executable; chmod +x it, or write its interpreter: [sh, {program}]"
    else:
        yield f"task.command: there is no program {program}; write its path, or install it"


def _config_problems(name: str | None, recipe: Recipe, folder: Path) -> Sequence[Problem | str]:
    """Return why a config file cannot be read, or which arguments of the baseline it lacks."""
    if name is None:
        return ()
    if not (folder / name).is_file():
        return (f"task.config: there is no file {name} in {folder.absolute()}",)
    try:
        config = read_config(folder / name)
        config.replaced(changed_values(config, recipe))
    except UsageError as error:
        return error.problems
    return ()


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()


def _files(command: CommandTask, folder: Path) -> dict[str, Path]:
    """Return the files that a command names, and the modules of the user that its Python scripts import."""
    found: dict[str, Path] = {}
    for word in (*command.command[1:], *([command.config] if command.config else [])):
        with suppress(OSError, ValueError):  # a word may be no path at all
            path = folder / word
            if path.is_file():
                found[word] = path
                found |= _imported(path, folder) if path.suffix == ".py" else {}
    return found


def _imported(script: Path, folder: Path) -> dict[str, Path]:
    finder = ModuleFinder(path=[str(script.resolve().parent), str(folder.absolute())])
    with suppress(Exception), warnings.catch_warnings():  # a file of the user may be no valid Python
        warnings.simplefilter("ignore")
        finder.run_script(str(script))
    return dict(_own(finder))


def _own(finder: ModuleFinder) -> Iterator[tuple[str, Path]]:
    for name, module in finder.modules.items():
        path = getattr(module, "__file__", None)
        if path is not None and name != "__main__":
            yield name, Path(path)
