"""Start the command of a space for a few seconds, without recording anything."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from search_spaces import Recipe, SpaceSpec, UsageError, derive_seed
from search_spaces.specs.command_task import CommandTask
from trainers.command.metrics.reading import Reading
from trainers.command.observation import Observation, observe
from trainers.command.start import open_start
from trainers.user_code import exit_cause


def short_start(
    spec: SpaceSpec, recipe: Recipe, limit_s: float, enough: Callable[[tuple[Reading, ...]], bool]
) -> Observation:
    """Start the command with a recipe in a temporary folder, and stop it when its readings are enough.

    Every start has the same seed, so that only the recipe differs.

    Args:
        spec: Space with the command.
        recipe: Arguments and budget.
        limit_s: Most seconds to watch it.
        enough: Whether these readings are enough.

    Raises:
        UsageError: The program ended with an error; it has the last lines that it printed.
    """
    task = spec.task
    if not isinstance(task, CommandTask):
        raise TypeError("only a command can be started")
    seed = derive_seed("probe", spec.sampler.seed)
    with tempfile.TemporaryDirectory() as folder:
        start = open_start(task, recipe, 0, seed, 1, Path(folder, "out"), os.getcwd(), spec.resources.gpu)
        found = observe(task, start, recipe.budget, limit_s, enough)
    if found.code:  # a number in its error message may look like a metric
        early = "" if found.readings else " before its first metric"
        head = f"{task.title}: the program ended with {exit_cause(found.code)}{early}"
        raise UsageError("\n".join([f"{head}; its last lines:" if found.last_lines else head, *found.last_lines]))
    return found
