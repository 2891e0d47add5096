"""From a run to the start of its command: words, environment variables, folders."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces.command.inputs import RunInputs
from search_spaces.command.template import WhenResuming, render
from search_spaces.recipe.recipe import Recipe
from search_spaces.specs.command_task import CommandTask
from search_spaces.values import Value
from trainers.command.config_file import ConfigFile, read_config, write_copy
from trainers.command.environment import inherited_environment, run_environment
from trainers.compute.cards import HIDDEN

_NONE = object()
_SEEDS = 2**31  # a program in any language takes it for an int


@dataclass(frozen=True)
class CommandStart:
    """One start of the program of a command.

    Attributes:
        words: Program and arguments.
        environment: Environment variables.
        folder: Folder in which it runs.
        outputs: Folder for the files of the run.
        resumes: Whether it continues from what an earlier start left in `outputs`.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    outputs: Path
    resumes: bool


def open_start(
    task: CommandTask,
    recipe: Recipe,
    number: int,
    seed: int,
    attempt: int,
    outputs: Path,
    folder: str,
    gpu: float = 0.0,
) -> CommandStart:
    """Create the folder of a run and return the start of its command.

    A start that does not resume gets an empty folder, since a program may take what it finds there for its own.

    Args:
        task: The command.
        recipe: Recipe with the arguments and the budget.
        number: Number of the run.
        seed: Seed of the run.
        attempt: Number of this start of the run, from 1.
        outputs: Folder for the files of the run.
        folder: Folder in which the command runs.
        gpu: Number of GPUs, or a share of one; 0 hides all of them from the program.
    """
    template = task.template(recipe)
    can_resume = any(isinstance(element, WhenResuming) for element in template.elements)
    resumes = can_resume and attempt > 1 and outputs.is_dir() and any(outputs.iterdir())
    if not resumes:
        shutil.rmtree(outputs, ignore_errors=True)
    outputs.mkdir(parents=True, exist_ok=True)
    inputs = RunInputs(
        args=recipe.args,
        seed=seed % _SEEDS,
        out=str(outputs),
        run=number,
        epochs=None if recipe.budget.unit == "step" else recipe.budget.epochs,
        steps=recipe.budget.steps,
        config=None if task.config is None else str(_write_config(Path(folder, task.config), recipe, outputs)),
        resume=resumes,
    )
    environment = run_environment(inherited_environment(), inputs) | ({} if gpu else HIDDEN)
    return CommandStart(render(template, inputs), environment, folder, outputs, resumes)


def changed_values(config: ConfigFile, recipe: Recipe) -> dict[str, Value]:
    """Return the arguments that a config file does not have yet; its other values stay as they are written."""
    written = config.scalars()
    return {name: one for name, one in recipe.args.items() if written.get(name, _NONE) != one}


def _write_config(source: Path, recipe: Recipe, outputs: Path) -> Path:
    config = read_config(source)
    target = outputs / f"config{source.suffix}"
    write_copy(config, changed_values(config, recipe), target)
    return target
