from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from search_spaces.errors import SpecError
from search_spaces.files.yaml_edit import find_places, replace_places, yaml_text
from search_spaces.values import Value


def replaced(text: str, **new: str) -> str:
    places = find_places(text, "c.yaml")
    return replace_places(text, [(places[name.replace("__", ".")], one) for name, one in new.items()])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "0.001"),
        (1e-5, "1.0e-05"),
        (1.5e-7, "1.5e-07"),
        (1e22, "1.0e+22"),
        (1.0, "1.0"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        (1, "1"),
        (True, "true"),
        (None, "null"),
        ("adamw", '"adamw"'),
        ("no", '"no"'),
        ("1e-3", '"1e-3"'),
        ("", '""'),
        ('a "b"\n\\', r'"a \U00000022b\U00000022\U0000000a\U0000005c"'),
        ((1, "x", 1e-5), '[1, "x", 1.0e-05]'),
        ((), "[]"),
    ],
)
def test_the_text_of_a_value(value: Value, text: str) -> None:
    assert yaml_text(value) == text


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


@settings(max_examples=200, deadline=None)
@given(value=SCALARS | st.lists(SCALARS).map(tuple))
def test_both_versions_of_yaml_read_what_was_written(value: Any) -> None:
    expected = list(value) if isinstance(value, tuple) else value
    for read in (yaml.safe_load(yaml_text(value)), YAML(typ="safe", pure=True).load(yaml_text(value))):
        assert (read, type(read)) == (expected, type(expected))
        if isinstance(value, tuple):
            assert [type(one) for one in read] == [type(one) for one in value]


@settings(max_examples=50, deadline=None)
@given(value=SCALARS | st.lists(SCALARS).map(tuple))
def test_omegaconf_reads_what_was_written(value: Any) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    read = omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(f"x: {yaml_text(value)}"), resolve=False)["x"]
    expected = list(value) if isinstance(value, tuple) else value
    assert (read, type(read)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        ("a: 1  # why\nb: 2\n", {"a": "3"}, "a: 3  # why\nb: 2\n"),
        ("a:   # why\nb: 2\n", {"a": "3"}, "a: 3   # why\nb: 2\n"),
        ("a:\n", {"a": "3"}, "a: 3\n"),
        ("a:", {"a": "3"}, "a: 3"),
        ("{a: , b: 1}", {"a": "3"}, "{a: 3 , b: 1}"),
        ("a: {b: [1, 2], c: x}\n", {"a__b__1": "3", "a__c": '"y"'}, 'a: {b: [1, 3], c: "y"}\n'),
        ("a: [1,\n  2]  # two\nb: 1\n", {"a": "[3]"}, "a: [3]  # two\nb: 1\n"),
        ("a:\n  - 1\n  - 2  # two\n# end\nb: 1\n", {"a": "[3]"}, "a: [3]  # two\n# end\nb: 1\n"),
        ("a:\n- 1\n- b: 2\n  c:\n# end\nb: 1\n", {"a": "[3]"}, "a: [3]\n# end\nb: 1\n"),
        ("a:\n- 1\n- b: 2\n", {"a__1__b": "3"}, "a:\n- 1\n- b: 3\n"),
        ("- - 1\n  - 2\n- 3\n", {"0": "[4]"}, "- [4]\n- 3\n"),
        ("a: |\n  x\n  y\n\nb: 1\n", {"a": '"z"'}, 'a: "z"\n\nb: 1\n'),
        ("a: one\n  two\nb: 1\n", {"a": '"z"'}, 'a: "z"\nb: 1\n'),
        ("a: 'it''s'\n", {"a": '"z"'}, 'a: "z"\n'),
        ("a: &x 1\nb: *x\n", {"a": "3"}, "a: &x 3\nb: *x\n"),
        ("a: &x 1\nb: *x\n", {"b": "3"}, "a: &x 1\nb: 3\n"),
        ("a: &x\n  - 1\nb: *x\n", {"a": "[3]"}, "a: &x [3]\nb: *x\n"),
        ("a: !!float 1\n", {"a": "3"}, "a: 3\n"),
        ("a.b: 1\na:\n  c: 2\n", {"a__b": "3", "a__c": "4"}, "a.b: 3\na:\n  c: 4\n"),
        ("# é 😀\r\na: 1\r\nb: 2\r\n", {"a": "3"}, "# é 😀\r\na: 3\r\nb: 2\r\n"),
        ('{\n\t"a": 1,\n\t"b":[1,\t2]\n}', {"a": "3", "b__1": "4"}, '{\n\t"a": 3,\n\t"b":[1,\t4]\n}'),
        ("---\na: 1\n...\n", {"a": "3"}, "---\na: 3\n...\n"),
        ("1: 2\n", {"1": "3"}, "1: 3\n"),
    ],
)
def test_only_the_value_changes(before: str, new: dict[str, str], after: str) -> None:
    assert replaced(before, **new) == after


def test_names_kinds_lines_and_values() -> None:
    text = 'a:\n  b: 1e-3\n  c: [x, "1"]\nd: *y\ne: no\nf: !!float 1\ng: ~\n'
    places = find_places(text, "c.yaml")
    assert {name: (one.line, one.kind, one.value) for name, one in places.items()} == {
        "": (1, "section", None),
        "a": (2, "section", None),
        "a.b": (2, "scalar", 1e-3),
        "a.c": (3, "list", None),
        "a.c.0": (3, "scalar", "x"),
        "a.c.1": (3, "scalar", "1"),
        "d": (4, "alias", None),
        "e": (5, "scalar", "no"),
        "f": (6, "scalar", 1),
        "g": (7, "scalar", None),
    }


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2\n", "a: {b: 1}\na: 2\n", "a: 1\na: {b: 1}\n", "a.b: 1\na: {b: 1}\n", "{a, b}"]
)
def test_a_name_that_is_there_twice_or_without_a_colon_is_unclear(text: str) -> None:
    assert [one.kind for one in find_places(text, "c.yaml").values()].count("unclear") == (2 if text == "{a, b}" else 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "c.yaml:2: not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "c.yaml:2: a file must have one document, found more"),
        ("a: 1\n[b]: 2\n", "c.yaml:2: a name must be a text, found a list, a section or an alias"),
        ("a: \x07\n", r"c.yaml:1: not valid YAML: the character U\+0007 is not allowed"),
    ],
)
def test_invalid_text(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        find_places(text, "c.yaml")


TREES = st.recursive(
    SCALARS,
    lambda one: st.lists(one, min_size=1, max_size=3) | st.dictionaries(st.text("abc", min_size=1), one, min_size=1),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(tree=st.dictionaries(st.text("abc", min_size=1), TREES, min_size=1), flow=st.booleans(), data=st.data())
def test_a_replaced_value_is_read_and_nothing_else_changes(
    tree: dict[str, Any], flow: bool, data: st.DataObject
) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    assume(yaml.safe_load(text) == tree)  # PyYAML takes a next line (U+0085) of its own for a space
    places = find_places(text, "c.yaml")
    name = data.draw(st.sampled_from([one for one in places if one and places[one].kind in ("scalar", "list")] or [""]))
    if not name:
        assert places[""].kind == "section"
        return
    *above, last = name.split(".")
    inner: Any = tree
    for key in above:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]
    inner[int(last) if isinstance(inner, list) else last] = 1e-5
    assert yaml.safe_load(replace_places(text, [(places[name], yaml_text(1e-5))])) == tree
