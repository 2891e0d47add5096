"""A task with arguments: a section in a file, one line of text everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import SpecError, dump_space, parse_space
from search_spaces.specs.task_reference import read_reference, write_reference

SPACE = "kind: sweep\ntask: {task}\nmetric: {{name: val/accuracy, goal: maximize}}\nruns: 1\n"
VALUES = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


def task_of(text: str) -> str:
    return parse_space(SPACE.format(task=text), "mine.yaml", "mine").task


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=3))
def test_what_is_written_is_read_again(arguments):
    name, read = read_reference(write_reference("images", arguments))
    assert name == "images"
    assert read == arguments
    assert [type(value) for value in read.values()] == [type(value) for value in arguments.values()]


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("{images: {root: /data/a b, val: 500}}", "images?root=/data/a%20b&val=500"),
        ("{characters: {}}", "characters"),
        ('{"my.module:Task": {flag: true, name: "12"}}', "my.module:Task?flag=true&name=%2212%22"),
        ("digits", "digits"),
    ],
)
def test_a_section_becomes_one_line(section, text):
    assert task_of(section) == text


def test_a_dumped_space_keeps_the_arguments():
    space = parse_space(SPACE.format(task="{images: {root: x.npz}}"), "mine.yaml", "mine")
    assert parse_space(dump_space(space), "again.yaml", "mine") == space


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{images: {root: x}, digits: {}}", "must be one task, such as {images: {root: FOLDER}}, found 2 names"),
        ("{images: 3}", "must be a task with a section of arguments, found images: 3"),
        ("{images: {root: [1]}}", "the argument root must be true, false, a number or a text, found [1]"),
        ("{im ages: {root: x}}", "must be a built-in name or package.module:Name"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(section, expected):
    with pytest.raises(SpecError) as caught:
        task_of(section)
    assert f"mine.yaml:2: task: {expected}" in str(caught.value)
