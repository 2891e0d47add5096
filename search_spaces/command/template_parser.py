"""Read the commands of command tasks, with every problem at once."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from search_spaces.command.inputs import SETTINGS
from search_spaces.command.options import OptionStyle
from search_spaces.command.template import (
    ALL_ARGUMENTS,
    ONE,
    RESUME,
    SEVERAL_WORDS,
    Placeholder,
    Template,
    WhenResuming,
    Word,
    used_arguments,
)
from search_spaces.errors import Problem, SpecError, suggest
from search_spaces.values import show


@dataclass(frozen=True)
class Names:
    """The names that a command may use.

    Attributes:
        arguments: Names of the arguments.
        settings: Those of `SETTINGS` that have a value: `config` with a config file, `epochs` or `steps` by the budget.
    """

    arguments: Collection[str]
    settings: Collection[str]


def parse_template(
    command: object, names: Names, where: str, style: OptionStyle | None = None, unused_allowed: bool = False
) -> Template:
    """Read a command.

    Args:
        command: List of words.
        names: Names that its placeholders may use.
        where: Name of the file, for messages.
        style: How options are written.
        unused_allowed: Whether the program may get arguments in another way, such as from environment variables.

    Raises:
        SpecError: It is invalid; has every problem.
    """
    if not isinstance(command, list | tuple) or not command:
        rule = "must be a list of words such as [python, train.py], which no shell reads"
        raise SpecError(Problem(where, "task.command", f"{rule}; found {show(command)}"))
    reader = _Reader(names, where)
    elements = tuple(one for at, text in enumerate(command) for one in reader.elements(text, f"task.command.{at}"))
    template = Template(elements, style or OptionStyle())
    problems = [*reader.problems, *_name_problems(names.arguments, where)]
    if not unused_allowed and not problems:  # else one mistake would be reported twice
        problems += _unused_problems(template, names.arguments, where)
    if problems:
        raise SpecError(*problems)
    return template


def _name_problems(arguments: Collection[str], where: str) -> Iterator[Problem]:
    for name in arguments:
        if not name.strip("-") or "=" in name or " " in name or not name.isprintable():
            rule = "the name of an argument must be printable, without spaces and =, and not only dashes"
            yield Problem(where, "args", f"{rule}; found {show(name)}")


def _unused_problems(template: Template, arguments: Collection[str], where: str) -> Iterator[Problem]:
    used = used_arguments(template, arguments, always=True)
    resumed = used_arguments(template, arguments)
    for name in arguments:
        if name not in used:
            found = "found only in ${resume:...}" if name in resumed else "found in no placeholder"
            ways = f"add ${{args}} or ${{args.{name}}} to task.command"
            yield Problem(where, f"args.{name}", f"must reach the command, {found}; {ways}")


class _Reader:
    """Reads words and collects problems."""

    def __init__(self, names: Names, where: str) -> None:
        self.names = names
        self.where = where
        self.problems: list[Problem] = []

    def _problem(self, field: str, message: str) -> None:
        self.problems.append(Problem(self.where, field, message))

    def elements(self, text: object, field: str) -> Iterator[Word | WhenResuming]:
        """Yield the element of one text, or nothing if it is invalid."""
        if not isinstance(text, str):
            self._problem(field, f'a word of a command must be a text, found {show(text)}; write "{show(text)}"')
            return
        parts = list(self._parts(text, field))
        resumes = [part for part in parts if isinstance(part, Placeholder) and part.name.startswith(RESUME)]
        if not resumes:
            yield from self._words([parts], field)
        elif len(parts) == 1:
            yield self._when_resuming(resumes[0].name.removeprefix(RESUME), field)
        else:
            self._problem(field, "${resume:...} must be a word of its own: it can stand for several or none")

    def _when_resuming(self, content: str, field: str) -> WhenResuming:
        try:
            texts = shlex.split(content)
            reason = "it has none"
        except ValueError as error:
            texts, reason = [], str(error).lower()
        if not texts:
            self._problem(field, f"the words in ${{resume:...}} cannot be read: {reason}")
        words = [list(self._parts(text, field)) for text in texts]
        if any(isinstance(part, Placeholder) and part.name.startswith(RESUME) for word in words for part in word):
            self._problem(field, "${resume:...} must not be in another ${resume:...}")
        return WhenResuming(tuple(self._words(words, field)))

    def _words(self, words: list[list[str | Placeholder]], field: str) -> Iterator[Word]:
        for parts in words:
            several = [part.name for part in parts if isinstance(part, Placeholder) and part.name in SEVERAL_WORDS]
            if several and len(parts) > 1:
                rule = f"${{{several[0]}}} must be a word of its own, since it stands for several"
                self._problem(field, f"{rule}; use ${{args.NAME}} or ${{args:json}} in a longer word")
            yield Word(tuple(parts))

    def _parts(self, text: str, field: str) -> Iterator[str | Placeholder]:
        """Yield texts and placeholders, each text as long as possible."""
        literal, at = "", 0
        while at < len(text):
            if text.startswith("$${", at):
                literal, at = literal + "${", at + 3
            elif text.startswith("${", at):
                end = _closing(text, at + 2)
                if end is None:
                    self._problem(field, f"{show(text[at:])} has no closing brace; add it, or write $${{ for the text")
                    return
                if literal:
                    yield literal
                self._check(text[at + 2 : end], field)
                yield Placeholder(text[at + 2 : end])
                literal, at = "", end + 1
            else:
                literal, at = literal + text[at], at + 1
        if literal or not text:
            yield literal

    def _check(self, name: str, field: str) -> None:
        if name.startswith(ONE):
            argument = name.removeprefix(ONE)
            if argument not in self.names.arguments:
                self._problem(field, f"no argument {show(argument)}; {suggest(argument, self.names.arguments)}")
        elif name in SETTINGS and name not in self.names.settings:
            rule = "the task has no config file" if name == "config" else f"the budget is not in {name}"
            self._problem(field, f"${{{name}}} has no value, since {rule}")
        elif name not in (*ALL_ARGUMENTS, *self.names.settings) and not name.startswith(RESUME):
            valid = [*ALL_ARGUMENTS, "args.NAME", *self.names.settings, "resume:..."]
            self._problem(
                field,
                f"unknown placeholder {show(f'${{{name}}}')}; {suggest(name, valid)}; write $${{ for the text ${{",
            )


def _closing(text: str, start: int) -> int | None:
    """Return the index of the brace that closes a placeholder, with braces inside of it in pairs."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None
