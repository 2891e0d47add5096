"""Where the user's own code is imported from, in the driver, in its children and on the nodes."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from search_spaces import SpaceSpec, UsageError
from search_spaces.specs.command_task import CommandTask

_OURS = Path(__file__).resolve().parents[1]
_LOADED_BY_WORKERS = ("search_spaces", "trainers", "sweeps")


def import_paths() -> tuple[str, ...]:
    """Return the current folder, as `python -m` has it, and the folders of PYTHONPATH."""
    return (os.getcwd(), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path))


def command_folder(paths: Sequence[str]) -> str:
    """Return the folder in which a command runs: that of the driver, or the copy of it on another node.

    Args:
        paths: The driver's `import_paths`.
    """
    return paths[0] if os.path.isdir(paths[0]) else os.getcwd()


def add_import_paths(paths: Iterable[str]) -> None:
    """Append the folders that `sys.path` lacks, so that they never hide an installed package."""
    sys.path.extend(path for path in paths if path not in sys.path)


def check_names(spec: SpaceSpec) -> None:
    """Check that no package of the user has the name of one of ours: a process can import only one of the two.

    Args:
        spec: Space with the task. A command imports in processes of its own.

    Raises:
        UsageError: There are such packages; a line each.
    """
    task = spec.task
    if isinstance(task, CommandTask):
        return
    names = (*_LOADED_BY_WORKERS, *(("analysis",) if ":" in task else ()))
    top = task.partition(":")[0].partition(".")[0]
    problems = [
        f"{found}: has the name of a package that `sweeps` itself imports; rename it"
        for folder in dict.fromkeys(map(os.path.realpath, import_paths()))
        if Path(folder) != _OURS
        for name in names
        if (found := _package(Path(folder), name, name == top)) is not None
    ]
    if problems:
        raise UsageError(*problems)


def _package(folder: Path, name: str, used: bool) -> Path | None:
    """Return the package or module with this name; a folder without `__init__.py` counts only if it is used."""
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file() or (used and package.is_dir()):
        return package
    return module if module.is_file() else None
