from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.command.inputs import Argument
from search_spaces.command.options import OptionStyle, as_text, options
from search_spaces.errors import UsageError

STYLE = OptionStyle()
PRESENT = OptionStyle(booleans="present")
TEXT = OptionStyle(booleans="text")
PYTHON = OptionStyle(booleans="python")
COMMAS = OptionStyle(lists="commas")
REPEATED = OptionStyle(lists="repeated")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "0.001"),
        (1e-5, "1e-05"),
        (1.0, "1.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e22, "1e+22"),
        (-1e-5, "-0.00001"),  # argparse before 3.14 takes -1e-05 for an option
        (-1e22, "-10000000000000000000000.0"),
        (-0.5, "-0.5"),
        (64, "64"),
        (10**30, "1" + "0" * 30),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("", ""),
        ("a 'b' \"c\"\n$HOME é", "a 'b' \"c\"\n$HOME é"),
        ([1, 2.5, "x"], "1,2.5,x"),
        ((), ""),
        ({"a": [1, None]}, '{"a": [1, null]}'),
    ],
)
def test_the_text_of_a_value(value: Argument, text: str) -> None:
    assert as_text(value, STYLE) == text


def test_python_writes_booleans_as_python_does() -> None:
    assert [as_text(one, PYTHON) for one in (True, False, [True, None])] == ["True", "False", "True,null"]


@pytest.mark.parametrize(
    ("args", "style", "words"),
    [
        ({"lr": 1e-3, "weight-decay": 0.01, "batch_size": 64}, STYLE, "--lr 0.001 --weight-decay 0.01 --batch_size 64"),
        ({"x": -1}, STYLE, "--x=-1"),
        ({"x": "-a"}, STYLE, "--x=-a"),
        ({"-x": 1, "-y": -1, "-lr": -1}, STYLE, "-x 1 -y-1 -lr=-1"),
        ({"flag": True, "other": False}, STYLE, "--flag --no-other"),
        ({"flag": True, "other": False}, PRESENT, "--flag"),
        ({"flag": True, "other": False}, TEXT, "--flag true --other false"),
        ({"flag": True, "other": False}, PYTHON, "--flag True --other False"),
        ({"x": None, "y": 1}, STYLE, "--y 1"),
        ({"x": [1, -2.5, 3]}, STYLE, "--x 1 -2.5 3"),
        ({"x": []}, STYLE, "--x"),
        ({"x": [1, 2]}, COMMAS, "--x 1,2"),
        ({"x": [-1, 2]}, COMMAS, "--x=-1,2"),
        ({"x": [1, -2]}, REPEATED, "--x 1 --x=-2"),
        ({"x": []}, REPEATED, ""),
    ],
)
def test_options(args: Mapping[str, Argument], style: OptionStyle, words: str) -> None:
    assert list(options(args, style, equals=False)) == words.split()


def test_options_with_an_equals_sign() -> None:
    args = {"lr": 1e-3, "name": "a b", "empty": "", "-x": 1, "flag": False, "list": [1, 2]}
    words = ("--lr=0.001", "--name=a b", "--empty=", "-x", "1", "--no-flag", "--list", "1", "2")
    assert options(args, STYLE, equals=True) == words


@pytest.mark.parametrize(
    ("item", "style", "message"),
    [
        (
            "--lr=5",
            STYLE,
            "--x: an item must not begin with a dash, found '--lr=5' with lists: items; use lists: repeated",
        ),
        ("a,b", COMMAS, "--x: an item must not have a comma, found 'a,b' with lists: commas; use lists: repeated"),
    ],
)
def test_an_item_that_would_be_read_as_something_else(item: str, style: OptionStyle, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        options({"x": ["a", item]}, style, equals=False)
    assert str(refusal.value) == message
    assert options({"x": ["a", item]}, REPEATED, equals=True) == ("--x=a", f"--x={item}")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
# CPython's argparse drops the value of `--x=--` (issue 59317, fixed in 3.13).
SAFE = TEXTS.filter(lambda text: text != "--")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(x=SAFE, y=SAFE, lr=FLOATS, n=st.integers(), flag=st.booleans(), equals=st.booleans())
def test_argparse_reads_what_was_written(x: str, y: str, lr: float, n: int, flag: bool, equals: bool) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x")
    parser.add_argument("-y")
    parser.add_argument("--weight_decay", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--flag", action=argparse.BooleanOptionalAction)
    args = {"x": x, "-y": y, "weight_decay": lr, "batch-size": n, "flag": flag}
    read = parser.parse_args(options(args, STYLE, equals))
    assert vars(read) == {"x": x, "y": y, "weight_decay": lr, "batch_size": n, "flag": flag}


@settings(max_examples=50, deadline=None)
@given(x=st.lists(FLOATS), y=st.lists(st.integers()), z=st.lists(SAFE))
def test_argparse_reads_lists(x: list[float], y: list[int], z: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float, nargs="*")
    parser.add_argument("--y", type=int, nargs="*")
    parser.add_argument("--z", action="append", default=[])
    words = [*options({"x": x, "y": y}, STYLE, equals=False), *options({"z": z}, REPEATED, equals=False)]
    assert vars(parser.parse_args(words)) == {"x": x, "y": y, "z": z}


@settings(max_examples=50, deadline=None)
@given(x=TEXTS, y=TEXTS, lr=FLOATS, flag=st.booleans(), many=st.lists(st.integers()), equals=st.booleans())
def test_click_reads_what_was_written(x: str, y: str, lr: float, flag: bool, many: list[int], equals: bool) -> None:
    @click.command()
    @click.option("--x")
    @click.option("-y")
    @click.option("--lr", type=float)
    @click.option("--flag/--no-flag")
    @click.option("--many", type=int, multiple=True)
    def program(**read: Any) -> dict[str, Any]:
        return read

    args = {"x": x, "-y": y, "lr": lr, "flag": flag, "many": many}
    read = program.main(list(options(args, REPEATED, equals)), standalone_mode=False)
    assert read == {**{name.lstrip("-"): value for name, value in args.items()}, "many": tuple(many)}


@pytest.mark.slow
@pytest.mark.parallel
def test_the_parser_of_hugging_face_reads_booleans_as_text() -> None:
    from transformers import HfArgumentParser

    kind = make_dataclass("Arguments", [("on", bool, True), ("off", bool, False), ("weight_decay", float, 0.0)])
    args = {"on": False, "off": True, "weight_decay": -1e-5}
    [read] = HfArgumentParser(kind).parse_args_into_dataclasses(list(options(args, TEXT, equals=False)))
    assert vars(read) == args
