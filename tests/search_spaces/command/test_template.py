from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.command.inputs import RunInputs
from search_spaces.command.options import OptionStyle
from search_spaces.command.template import render, used_arguments
from search_spaces.command.template_parser import Names, parse_template

ARGS = {"lr": 1e-3, "weight-decay": 0.01, "name": "a b"}
INPUTS = RunInputs(ARGS, seed=7, out="/runs/my sweep/3", run=3, steps=3000, config="/runs/c.yaml")
RESUMED = RunInputs(ARGS, seed=7, out="/runs/my sweep/3", run=3, steps=3000, config="/runs/c.yaml", resume=True)
NAMES = Names(tuple(ARGS), ("config", "out", "run", "seed", "steps"))


def rendered(*command: str, inputs: RunInputs = INPUTS, style: OptionStyle | None = None) -> tuple[str, ...]:
    return render(parse_template(command, NAMES, "space.yaml", style, unused_allowed=True), inputs)


def test_the_command_of_a_torchrun() -> None:
    command = ["torchrun", "--nproc-per-node=2", "train.py", "${args}", "--out", "${out}"]
    command.append("${resume:--resume ${out}/last.pt}")
    start = ("torchrun", "--nproc-per-node=2", "train.py", "--lr", "0.001", "--weight-decay", "0.01", "--name", "a b")
    start = (*start, "--out", "/runs/my sweep/3")
    assert rendered(*command) == start
    assert rendered(*command, inputs=RESUMED) == (*start, "--resume", "/runs/my sweep/3/last.pt")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("${args:equals}", ("--lr=0.001", "--weight-decay=0.01", "--name=a b")),
        ("${args:hydra}", ("lr=0.001", "weight-decay=0.01", "name='a b'")),
        ("${args:json}", ('{"lr": 0.001, "weight-decay": 0.01, "name": "a b"}',)),
        ("--json=${args:json}", ('--json={"lr": 0.001, "weight-decay": 0.01, "name": "a b"}',)),
        ("--lr=${args.lr}", ("--lr=0.001",)),
        ("${args.name}-${run}-${seed}", ("a b-3-7",)),
        ("${out}/${steps}", ("/runs/my sweep/3/3000",)),
        ("${config}", ("/runs/c.yaml",)),
        ("$${out}", ("${out}",)),
        ("$${out}${run}", ("${out}3",)),
        ("$$${out}", ("$${out}",)),
        ("$HOME $5 $", ("$HOME $5 $",)),
        ("{out} }", ("{out} }",)),
        ("", ("",)),
        ("a\n'b' \"c\" ; rm", ("a\n'b' \"c\" ; rm",)),
    ],
)
def test_a_placeholder(word: str, expected: tuple[str, ...]) -> None:
    assert rendered(word) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("${resume:--resume ${out}/last.pt}", ("--resume", "/runs/my sweep/3/last.pt")),
        ("${resume:--from '${out}/the last.pt'  x}", ("--from", "/runs/my sweep/3/the last.pt", "x")),
        ("${resume:--note \"it's\" ''}", ("--note", "it's", "")),
        ('${resume:--state {"a":1} $${x}}', ("--state", "{a:1}", "${x}")),
        ("${resume:--again ${args}}", ("--again", "--lr", "0.001", "--weight-decay", "0.01", "--name", "a b")),
        ("${resume:yes}", ("yes",)),
    ],
)
def test_words_of_a_resumed_run(word: str, expected: tuple[str, ...]) -> None:
    assert rendered("a", word, "b", inputs=RESUMED) == ("a", *expected, "b")
    assert rendered("a", word, "b") == ("a", "b")


def test_the_style_of_options() -> None:
    inputs = RunInputs({"lr": [1, 2], "weight-decay": True, "name": None}, seed=0, out="o", run=0)
    style = OptionStyle(booleans="text", lists="repeated")
    assert rendered("${args}", inputs=inputs, style=style) == ("--lr", "1", "--lr", "2", "--weight-decay", "true")
    assert rendered("${args.lr}${args.weight-decay}${args.name}", inputs=inputs, style=style) == ("1,2truenull",)


@pytest.mark.parametrize(
    ("command", "used", "always"),
    [
        (["${args}"], ["lr", "weight-decay", "name"], ["lr", "weight-decay", "name"]),
        (["--x=${args:json}"], ["lr", "weight-decay", "name"], ["lr", "weight-decay", "name"]),
        (["${args.name}", "${args.lr}"], ["lr", "name"], ["lr", "name"]),
        (["${args.name}", "${resume:${args.lr}}"], ["lr", "name"], ["name"]),
        (["$${args}"], [], []),
    ],
)
def test_the_arguments_that_a_command_uses(command: Sequence[str], used: list[str], always: list[str]) -> None:
    template = parse_template(command, NAMES, "space.yaml", unused_allowed=True)
    assert list(used_arguments(template, tuple(ARGS))) == used
    assert list(used_arguments(template, tuple(ARGS), always=True)) == always


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=50, deadline=None)
@given(value=TEXTS)
def test_one_value_is_one_word(value: str) -> None:
    inputs = RunInputs({"lr": value, "weight-decay": 0, "name": value}, seed=0, out=value, run=0)
    assert rendered("${args.lr}", "--x=${args.name}", inputs=inputs) == (value, f"--x={value}")
    assert len(rendered("${args:hydra}", inputs=inputs)) == 3
    assert len(rendered("${args:equals}", inputs=inputs)) == 3
    [text] = rendered("${args:json}", inputs=inputs)
    assert json.loads(text) == inputs.args


@settings(max_examples=50, deadline=None)
@given(text=TEXTS)
def test_escaped_text_is_as_it_was(text: str) -> None:
    assert rendered(text.replace("${", "$${")) == (text,)
    assert rendered(f"${{resume:{shlex.quote('[' + text.replace('{', '').replace('}', '') + ']')}}}")[1:] == ()


def test_a_program_gets_the_values() -> None:
    values: dict[str, Any] = {"lr": "-a", "weight-decay": "", "name": "x\n'é' \"$HOME\" *"}
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    words = rendered(sys.executable, "-c", program, "${args}", inputs=RunInputs(values, seed=0, out="", run=0))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["--lr=-a", "--weight-decay", "", "--name", values["name"]]
