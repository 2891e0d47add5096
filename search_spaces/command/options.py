"""Write arguments as command-line options that argparse, click, typer, absl, tyro and HfArgumentParser read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from search_spaces.command.inputs import Argument
from search_spaces.errors import UsageError
from search_spaces.values import show


@dataclass(frozen=True)
class OptionStyle:
    """How options are written where command-line parsers differ.

    Attributes:
        booleans: `pair` writes `--flag` or `--no-flag` (argparse's BooleanOptionalAction, click, typer, tyro), which a
            parser that expects another style rejects. `present` writes `--flag` or nothing (argparse's `store_true`),
            `text` writes `--flag true` (HfArgumentParser; absl with `${args:equals}`), and `python` writes
            `--flag True` (fire).
        lists: `items` writes `--x 1 2` (argparse's `nargs`, tyro); `commas` writes `--x 1,2` (absl, fire); `repeated`
            writes `--x 1 --x 2` (click, typer, argparse's `append`).
    """

    booleans: Literal["pair", "present", "text", "python"] = "pair"
    lists: Literal["items", "commas", "repeated"] = "items"


def as_text(value: Argument, style: OptionStyle) -> str:
    """Return a value as one text: lists with commas, sections as JSON, null as `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value) if style.booleans == "python" else str(value).lower()
        case float():
            return _float_text(value)
        case Mapping():
            return json.dumps(value)
        case list() | tuple():
            return ",".join(as_text(item, style) for item in value)
        case _:
            return str(value)


def _float_text(value: float) -> str:
    text = repr(value)
    if value < 0 and "e" in text:  # argparse takes -0.00001 for a number but -1e-05 for an option
        text = format(Decimal(text), "f")
        return text if "." in text else f"{text}.0"
    return text


def options(args: Mapping[str, Argument], style: OptionStyle, equals: bool) -> tuple[str, ...]:
    """Return the words of all arguments, such as `--lr 0.001`.

    Args:
        args: Values by name. A name that begins with a dash is an option already; others get `--`.
        style: How booleans and lists are written.
        equals: Whether to write `--lr=0.001`. A value that begins with a dash is always written so.

    Raises:
        UsageError: A list has an item that the style cannot express.
    """
    return tuple(word for name, value in args.items() for word in _option(_dashed(name), value, style, equals))


def _dashed(name: str) -> str:
    return name if name.startswith("-") else f"--{name}"


def _option(option: str, value: Argument, style: OptionStyle, equals: bool) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, list | tuple):
        _check_items(option, value, style)
    if isinstance(value, bool) and style.booleans in ("pair", "present"):
        if value or style.booleans == "pair":
            yield option if value else f"--no-{option.lstrip('-')}"
    elif isinstance(value, list | tuple) and style.lists == "items":
        yield option
        yield from (as_text(item, style) for item in value)
    elif isinstance(value, list | tuple) and style.lists == "repeated":
        for item in value:
            yield from _pair(option, as_text(item, style), equals)
    else:
        yield from _pair(option, as_text(value, style), equals)


def _check_items(option: str, items: Sequence[Argument], style: OptionStyle) -> None:
    """Raise an error for a text that a parser would take for an option or for two items."""
    for text in (item for item in items if isinstance(item, str)):
        if style.lists == "items" and text.startswith("-"):
            rule = "an item must not begin with a dash"
        elif style.lists == "commas" and "," in text:
            rule = "an item must not have a comma"
        else:
            continue
        raise UsageError(f"{option}: {rule}, found {show(text)} with lists: {style.lists}; use lists: repeated")


def _pair(option: str, text: str, equals: bool) -> tuple[str, ...]:
    """Return an option and its value as one or two words.

    `--x -a` is an error of argparse, `--x=-a` is read by all. Click takes the `=` of `-x=-a` for a part of the value.
    """
    dashed = text.startswith("-")
    if len(option) == 2:  # a short one: -x
        return (option + text,) if dashed else (option, text)
    return (f"{option}={text}",) if dashed or equals else (option, text)
