"""Prepares a task in a child process while Ray starts: data and weights into the cache, mistakes into one line each.

The driver loads neither torch nor the user's code; the child does, and the workers find the work done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from search_spaces import Recipe, SpaceSpec, UsageError
from search_spaces.recipe.model import Model
from search_spaces.seeds import derive_seed
from trainers.storage.cache import cache_directory

USAGE_EXIT = 2


def needed(spec: SpaceSpec) -> bool:
    """Whether a task wants preparing: a built-in one, as it comes, until this machine did it once; others always.

    Several processes want to know each time whether it is a task that they can train.
    """
    own_way = any(mark in spec.task for mark in ":?") or spec.recipe.model != Model()
    return own_way or spec.resources.processes > 1 or not _mark(spec.task).exists()


def _mark(task: str) -> Path:
    return cache_directory() / f"prepared-{task}-{version('sweeps')}"


class Preparation:
    """The child process of one space; started at once.

    Args:
        spec: The space.
        import_paths: Folders where the user's own task is looked for.
    """

    def __init__(self, spec: SpaceSpec, import_paths: tuple[str, ...]) -> None:
        request = {
            "task": spec.task,
            "recipe": spec.recipe.model_dump(mode="json"),
            "seed": derive_seed("sweep", spec.sampler.seed, 0),
            "processes": spec.resources.processes,
            "import_paths": import_paths,
        }
        self._output: str | None = None
        self._child = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-m", "sweeps.preflight.preparation", json.dumps(request)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is for the driver
        )

    def wait(self) -> None:
        """Return when the task is ready.

        Raises:
            UsageError: The task cannot be trained; the child's line says why.
        """
        if self._output is None:
            self._output, _ = self._child.communicate()
        output = self._output
        if self._child.returncode == USAGE_EXIT:
            raise UsageError(*output.strip().splitlines())
        if self._child.returncode != 0:
            raise UsageError(f"the task cannot be prepared:\n{output.strip()}")

    def stop(self) -> None:
        """End the child if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()


def main() -> int:
    """The child: prepare what the argument describes."""
    from trainers.task_checks import prepare

    request = json.loads(sys.argv[1])
    sys.path.extend(path for path in request["import_paths"] if path not in sys.path)
    recipe = Recipe.model_validate(request["recipe"])
    try:
        prepare(request["task"], recipe, request["seed"], request["processes"])
    except UsageError as error:
        sys.stdout.write(f"{error}\n")
        return USAGE_EXIT
    if not any(mark in request["task"] for mark in ":?"):
        _mark(request["task"]).touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
