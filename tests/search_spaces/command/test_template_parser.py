from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.command.inputs import SETTINGS
from search_spaces.command.template import Placeholder, WhenResuming, Word
from search_spaces.command.template_parser import Names, parse_template
from search_spaces.errors import SpecError

NAMES = Names(("lr", "weight-decay"), ("out", "run", "seed", "steps"))


def problems(*command: object, names: Names = NAMES) -> list[str]:
    with pytest.raises(SpecError) as refusal:
        parse_template(command, names, "space.yaml")
    lines = str(refusal.value).splitlines()
    assert len(lines) == len(refusal.value.problems)
    return [line.removeprefix("space.yaml: ") for line in lines]


def test_the_parts_of_a_command() -> None:
    template = parse_template(["a$${b}", "x${run}/", "${args}", "${resume:-r ${out}}"], NAMES, "space.yaml")
    assert template.elements == (
        Word(("a${b}",)),
        Word(("x", Placeholder("run"), "/")),
        Word((Placeholder("args"),)),
        WhenResuming((Word(("-r",)), Word((Placeholder("out"),)))),
    )


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        (
            "${sede}",
            "unknown placeholder '${sede}'; did you mean seed? valid: args, args:equals, args:hydra, args:json, ",
        ),
        ("${args:jsn}", "unknown placeholder '${args:jsn}'; did you mean args:json?"),
        ("${}", "unknown placeholder '${}'; valid:"),
        ("${ out }", "unknown placeholder '${ out }'; did you mean out?"),
        ("${a\nb}", r"unknown placeholder '${a\nb}'; valid:"),
        ("${resume}", "unknown placeholder '${resume}'; did you mean resume:...?"),
        ("${args.lrr}", "no argument 'lrr'; did you mean lr? valid: lr, weight-decay"),
        ("${args.weight_decay}", "no argument 'weight_decay'; did you mean weight-decay?"),
        ("x${out", "'${out' has no closing brace; add it, or write $${ for the text"),
        ("${resume:--x ${out}", "'${resume:--x ${out}' has no closing brace"),
        ("--all=${args}", "${args} must be a word of its own, since it stands for several; use ${args.NAME} or"),
        ("${args:hydra} ", "${args:hydra} must be a word of its own"),
        ("${args:equals}${run}", "${args:equals} must be a word of its own"),
        ("--r=${resume:x}", "${resume:...} must be a word of its own: it can stand for several or none"),
        ("${resume:}", "the words in ${resume:...} cannot be read: it has none"),
        ("${resume:'x}", "the words in ${resume:...} cannot be read: no closing quotation"),
        ("${resume:a ${resume:b}}", "${resume:...} must not be in another ${resume:...}"),
        ("${resume:a${args}}", "${args} must be a word of its own"),
        ("${resume:${sede}}", "unknown placeholder '${sede}'"),
        ("${config}", "${config} has no value, since the task has no config file"),
        ("${epochs}", "${epochs} has no value, since the budget is not in epochs"),
        (3, 'a word of a command must be a text, found 3; write "3"'),
        (True, 'a word of a command must be a text, found true; write "true"'),
        (["x"], "a word of a command must be a text, found ['x']"),
        ("a\nb ${x", "'${x' has no closing brace"),
    ],
)
def test_a_wrong_word(word: object, problem: str) -> None:
    [line] = problems("train.py", "${args}", word)
    assert line.startswith(f"task.command.2: {problem}")


def test_every_problem_is_found_at_once() -> None:
    lines = problems("${sede}", "${", 1, "${args.x}${args}")
    assert [line.split(":")[0] for line in lines] == [f"task.command.{at}" for at in (0, 1, 2, 3, 3)]


@pytest.mark.parametrize("command", ["train.py ${args}", [], None, 3, {"a": 1}])
def test_a_command_is_a_list_of_words(command: object) -> None:
    with pytest.raises(SpecError, match=r"^space.yaml: task.command: must be a list of words such as \[python, train"):
        parse_template(command, NAMES, "space.yaml")


def test_an_argument_that_does_not_reach_the_command() -> None:
    [line] = problems("train.py", "--lr=${args.lr}")
    assert line == (
        "args.weight-decay: must reach the command, found in no placeholder; "
        "add ${args} or ${args.weight-decay} to task.command"
    )
    [line] = problems("train.py", "--lr=${args.lr}", "${resume:--w ${args.weight-decay}}")
    assert "found only in ${resume:...}; add" in line
    assert parse_template(["train.py"], NAMES, "space.yaml", unused_allowed=True).elements == (Word(("train.py",)),)


@pytest.mark.parametrize("name", ["", "-", "--", "a=b", "a b", "a\nb", "\t"])
def test_a_name_that_is_no_option(name: str) -> None:
    [line] = problems("train.py", "${args}", names=Names(("lr", name), ()))
    assert line.startswith("args: the name of an argument must be printable, without spaces and =, and not only dashes")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("${}\n:ars.lout e'\"\\") | st.sampled_from([*SETTINGS, "${args}", "${resume:x"])))
def test_any_command_is_read_or_refused(command: list[str]) -> None:
    found: list[str] = []
    try:
        found = [
            type(one).__name__ for one in parse_template(command, NAMES, "space.yaml", unused_allowed=True).elements
        ]
    except SpecError as error:
        found = str(error).splitlines()[len(error.problems) - 1 :]
    assert found
    assert len(found) == 1 or len(found) == len(command)
