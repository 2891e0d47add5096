"""A task that is a command: any program that takes its parameters as arguments and prints or writes its metrics."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic.types import Strict

from search_spaces.command.inputs import RunInputs
from search_spaces.command.options import OptionStyle
from search_spaces.command.template import Placeholder, Template, render
from search_spaces.command.template_parser import Names, parse_template
from search_spaces.errors import Problem, UsageError
from search_spaces.recipe.part import Part, Positive
from search_spaces.recipe.recipe import Recipe
from search_spaces.values import show

STDOUT, REPORT = "stdout", "report"
FILE_SOURCES = ("jsonl", "csv", "trainer_state", "tensorboard", "file")
_SOURCES = "stdout, report, {jsonl: FILE}, {csv: GLOB}, {trainer_state: GLOB}, {tensorboard: FOLDER} or {file: FILE}"
_SCRIPT = re.compile(r"[^$]*\.[A-Za-z]{1,4}")
_LONGEST_TITLE = 40


def _read_metrics(written: object) -> str | Mapping[str, str]:
    if written in (STDOUT, REPORT):
        return str(written)
    if isinstance(written, Mapping) and len(written) == 1:
        [(kind, path)] = written.items()
        if kind in FILE_SOURCES and isinstance(path, str) and path:
            return {kind: path}
    raise ValueError(f"must be {_SOURCES}, found {_found(written)}")


def _found(written: object) -> str:
    if isinstance(written, Mapping):
        return f"{{{', '.join(f'{name}: {show(value)}' for name, value in written.items())}}}"
    return show(written)


def _read_word(word: object) -> object:
    """Return a word of the command; YAML reads some unquoted ones, such as 2 or 1e-3, as numbers."""
    if isinstance(word, bool) or word is None:
        raise ValueError(f'must be a text, found {show(word)}; write it in quotes: "{show(word)}"')
    return repr(word) if isinstance(word, int | float) else word


def _check_words(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0].strip():
        raise ValueError("must start with a program, such as [python, train.py, ${args}], found nothing")
    if any("\0" in word for word in words):
        raise ValueError("must not contain a NUL character")
    return words


Word = Annotated[str, BeforeValidator(_read_word)]


class CommandTask(Part):
    """A program that trains one run per start.

    Attributes:
        command: Program and arguments, with placeholders such as `${args}`. It never goes through a shell.
        metrics: Where the metrics are read from: `stdout` for what the program prints, or the format of a file, a
            pattern or a folder in the folder of the run. What the program reports with `sweeps.client` counts, too,
            and alone if this is `report`.
        rename: Name of a metric in the output -> name under which it is recorded.
        config: YAML, TOML or JSON file of the program; `${config}` is the path of a copy with the arguments set.
        booleans: How `${args}` writes true and false: `--x` and `--no-x` (`pair`), `--x` or nothing (`present`),
            `--x true` (`text`), or `--x True` (`python`).
        lists: How `${args}` writes a list: `--x 1 2` (`items`), `--x 1,2` (`commas`), or `--x 1 --x 2` (`repeated`).
        reads_environment: Whether the program reads its arguments from the variables `SWEEPS_ARG_LR` (or `SWEEPS_ARGS`,
            as JSON), so that they need not be in the command.
        grace_s: Seconds between the request to stop (SIGTERM) and the end by force (SIGKILL).
    """

    command: Annotated[tuple[Word, ...], Strict(False), AfterValidator(_check_words)]
    metrics: Annotated[str | Mapping[str, str], PlainValidator(_read_metrics)] = STDOUT
    rename: Mapping[str, Annotated[str, Field(min_length=1)]] = {}
    config: str | None = None
    booleans: Literal["pair", "present", "text", "python"] = "pair"
    lists: Literal["items", "commas", "repeated"] = "items"
    reads_environment: bool = False
    grace_s: Positive = 30.0

    @property
    def source(self) -> tuple[str, str]:
        """Where the metrics are read from, as its kind and its path; that of `stdout` and `report` is empty."""
        return (self.metrics, "") if isinstance(self.metrics, str) else next(iter(self.metrics.items()))

    @property
    def title(self) -> str:
        """A short name: the script or the module if there is one, otherwise the program."""
        for word, following in pairwise((*self.command[1:], "")):
            if word == "-m" and following:
                return following[:_LONGEST_TITLE]
            if _SCRIPT.fullmatch(word):
                return os.path.basename(word)[:_LONGEST_TITLE]
        return os.path.basename(self.command[0])[:_LONGEST_TITLE] or self.command[0]

    def template(self, recipe: Recipe) -> Template:
        """Return the command with the placeholders that it may have for a recipe.

        Raises:
            SpecError: A placeholder is invalid, or an argument reaches the program in no way; has every problem.
        """
        settings = ["out", "run", "seed", f"{recipe.budget.unit}s", *(["config"] if self.config else [])]
        style = OptionStyle(self.booleans, self.lists)
        elsewhere = self.reads_environment or self.config is not None
        return parse_template(self.command, Names(tuple(recipe.args), settings), "", style, elsewhere)

    def takes_seed(self, recipe: Recipe) -> bool:
        """Return whether the program may get the seed of the run."""
        return self.reads_environment or "seed" in _placeholders(self.template(recipe))


def _placeholders(template: Template) -> set[str]:
    return {part.name for word in template.words() for part in word.parts if isinstance(part, Placeholder)}


def validate_command(task: CommandTask, recipe: Recipe) -> tuple[Problem, ...]:
    """Return the problems of a command with the arguments and the budget of a recipe."""
    try:
        template = task.template(recipe)
        render(template, RunInputs(recipe.args, 0, "", 0, 0, 0, ""))
    except UsageError as error:
        problems = (one if isinstance(one, Problem) else Problem("", "args", one) for one in error.problems)
        return tuple(
            Problem("", f"recipe.{one.field}" if one.field.startswith("args") else one.field, one.message)
            for one in problems
        )
    if task.config is not None and "config" not in _placeholders(template):
        return (Problem("", "task.config", "must be used by the command, found no ${config} in it"),)
    return ()
