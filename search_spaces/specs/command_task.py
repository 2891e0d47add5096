"""A task that is a command: any program that takes its parameters as arguments and prints or writes its metrics."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator
from pydantic.types import Strict

from search_spaces.recipe.part import Part, Positive
from search_spaces.values import show

STDOUT = "stdout"
FILE_SOURCES = ("jsonl", "csv", "trainer_state", "tensorboard", "file")
_SOURCES = "stdout, {jsonl: FILE}, {csv: GLOB}, {trainer_state: GLOB}, {tensorboard: FOLDER} or {file: FILE}"
_SCRIPT = re.compile(r"[^$]*\.[A-Za-z]{1,4}")
_LONGEST_TITLE = 40


def _read_metrics(written: object) -> str | Mapping[str, str]:
    if written == STDOUT:
        return STDOUT
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
            pattern or a folder in the folder of the run.
        rename: Name of a metric in the output -> name under which it is recorded.
        config: YAML, TOML or JSON file of the program; `${config}` is the path of a copy with the arguments set.
        booleans: How `${args}` writes true and false: `--x` and `--no-x` (`pair`), `--x` or nothing (`present`),
            `--x true` (`text`), or `--x True` (`python`).
        lists: How `${args}` writes a list: `--x 1 2` (`items`), `--x 1,2` (`commas`), or `--x 1 --x 2` (`repeated`).
        grace_s: Seconds between the request to stop (SIGTERM) and the end by force (SIGKILL).
    """

    command: Annotated[tuple[Word, ...], Strict(False), AfterValidator(_check_words)]
    metrics: Annotated[str | Mapping[str, str], PlainValidator(_read_metrics)] = STDOUT
    rename: Mapping[str, Annotated[str, Field(min_length=1)]] = {}
    config: str | None = None
    booleans: Literal["pair", "present", "text", "python"] = "pair"
    lists: Literal["items", "commas", "repeated"] = "items"
    grace_s: Positive = 30.0

    @property
    def source(self) -> tuple[str, str]:
        """Where the metrics are read from, as its kind and its path; the path of `stdout` is empty."""
        return (STDOUT, "") if isinstance(self.metrics, str) else next(iter(self.metrics.items()))

    @property
    def title(self) -> str:
        """A short name: the script if there is one, otherwise the program."""
        script = next((word for word in self.command[1:] if _SCRIPT.fullmatch(word)), self.command[0])
        return os.path.basename(script)[:_LONGEST_TITLE] or self.command[0]

    @model_validator(mode="after")
    def _config_is_used(self) -> Self:
        uses = uses_placeholder(self.command, "config")
        if self.config is not None and not uses:
            raise ValueError("config is not used; add ${config} to the command")
        if self.config is None and uses:
            raise ValueError("${config} needs the file that it is a copy of; add config: FILE")
        return self


def uses_placeholder(command: Sequence[str], name: str) -> bool:
    """Return whether a word of a command has the placeholder `${name}`."""
    return any(f"${{{name}}}" in word for word in command)
