"""Where the user's own code is imported from, in the driver, in its children and on the nodes."""

import os
import sys
from collections.abc import Iterable


def import_paths() -> tuple[str, ...]:
    """Return the current folder, as `python -m` has it, and the folders of PYTHONPATH."""
    return (os.getcwd(), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path))


def add_import_paths(paths: Iterable[str]) -> None:
    """Append the folders that `sys.path` lacks, so that they never hide an installed package."""
    sys.path.extend(path for path in paths if path not in sys.path)
