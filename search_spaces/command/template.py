"""Commands with placeholders: `[python, train.py, "${args}", --out, "${out}"]`.

A command is a list of words that is started without a shell: a value stays one word whatever it contains.

| placeholder | stands for |
|---|---|
| `${args}` | every argument as options, `--lr 0.001 --name x`; several words |
| `${args:equals}`, `${args:hydra}` | the same as `--lr=0.001`, `lr=0.001`; several words |
| `${args:json}` | every argument as one JSON object |
| `${args.lr}` | one argument |
| `${config}`, `${epochs}`, `${out}`, `${run}`, `${seed}`, `${steps}` | a setting of the run |
| `${resume:...}` | its words, with quotes and placeholders, if the run resumes; else nothing |
| `$${` | the text `${` |
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from search_spaces.command.hydra_overrides import hydra_overrides
from search_spaces.command.inputs import RunInputs
from search_spaces.command.options import OptionStyle, as_text, options

SEVERAL_WORDS = ("args", "args:equals", "args:hydra")
ALL_ARGUMENTS = (*SEVERAL_WORDS, "args:json")
ONE = "args."
RESUME = "resume:"


@dataclass(frozen=True)
class Placeholder:
    """A placeholder, by the text in its braces: `args`, `args.lr`, `seed`."""

    name: str


@dataclass(frozen=True)
class Word:
    """A word of a command: texts and placeholders that are joined."""

    parts: tuple[str | Placeholder, ...]


@dataclass(frozen=True)
class WhenResuming:
    """Words that are left out unless the run resumes."""

    words: tuple[Word, ...]


@dataclass(frozen=True)
class Template:
    """A command with placeholders."""

    elements: tuple[Word | WhenResuming, ...]
    style: OptionStyle

    def words(self) -> Iterator[Word]:
        """Yield every word, those of `${resume:...}` included."""
        for element in self.elements:
            yield from element.words if isinstance(element, WhenResuming) else (element,)


def used_arguments(template: Template, arguments: Collection[str], always: bool = False) -> tuple[str, ...]:
    """Return the arguments that a command receives, in the given order.

    Args:
        template: The command.
        arguments: Names of all arguments.
        always: Whether to leave out those that it receives only when it resumes.
    """
    words = [one for one in template.elements if isinstance(one, Word)] if always else template.words()
    found = {part.name for word in words for part in word.parts if isinstance(part, Placeholder)}
    return tuple(name for name in arguments if f"{ONE}{name}" in found or found.intersection(ALL_ARGUMENTS))


def render(template: Template, inputs: RunInputs) -> tuple[str, ...]:
    """Return the words of the command for one run; the first is the program.

    Raises:
        UsageError: The options or Hydra's grammar cannot express a value.
    """
    rendered: list[str] = []
    for element in template.elements:
        if isinstance(element, Word):
            rendered += _render_word(element, inputs, template.style)
        elif inputs.resume:
            rendered += (text for word in element.words for text in _render_word(word, inputs, template.style))
    return tuple(rendered)


def _render_word(word: Word, inputs: RunInputs, style: OptionStyle) -> tuple[str, ...]:
    match word.parts:
        case (Placeholder("args:hydra"),):
            return hydra_overrides(inputs.args)
        case (Placeholder("args" | "args:equals" as name),):
            return options(inputs.args, style, equals=name == "args:equals")
        case parts:
            texts = (part if isinstance(part, str) else _render_one(part.name, inputs, style) for part in parts)
            return ("".join(texts),)


def _render_one(name: str, inputs: RunInputs, style: OptionStyle) -> str:
    if name == "args:json":
        return json.dumps(inputs.args)
    if name.startswith(ONE):
        return as_text(inputs.args[name.removeprefix(ONE)], style)
    return inputs.settings()[name]
