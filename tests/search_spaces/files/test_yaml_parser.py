from __future__ import annotations

import contextlib
import time

import pytest

from search_spaces import SpecError
from search_spaces.files.nodes import plain
from search_spaces.files.yaml_parser import MAX_BYTES, parse_yaml, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1", -1),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1" * 101, "1" * 101),
        (".infinite", ".infinite"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_a_quoted_scalar_is_a_text() -> None:
    assert plain(parse_yaml("{a: '1', b: \"true\", c: 1}", "f")) == {"a": "1", "b": "true", "c": 1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: &x 1", "f:2: b: anchors (&name) are not allowed; remove it"),
        ("a: 1\nb: *x", "f:2: b: aliases (*name) are not allowed; repeat the value"),
        ("a: [1, *x]", "f:1: a.1: aliases (*name) are not allowed"),
        ("*x : 1", "f:1: aliases (*name) are not allowed"),
        ("a: !!str 1", "f:1: a: tags are not allowed, found 'tag:yaml.org,2002:str'"),
        ("a: !python/object:os.system {}", "f:1: a: tags are not allowed"),
        ("a: ! x", "f:1: a: tags are not allowed"),
        ("a: 1\n\na: 2", "f:3: a: is a duplicate of line 1;"),
        ("s:\n  a: 1\n  a: 2", "f:3: s.a: is a duplicate of line 2;"),
        ("a: .nan", "f:1: a: must be finite, found .nan"),
        ("a: -.inf", "f:1: a: must be finite, found -.inf"),
        ("a: 1e999", "f:1: a: must be finite, found 1e999"),
        ("a: 1\n? [1, 2]\n: 3", "f:2: a name must be 1 to 100 printable characters, found a list"),
        ("? {a: 1}\n: 3", "f:1: a name must be 1 to 100 printable characters, found a section"),
        ("'a\\n': 1\n\"b\\n\": 1", "f:2: a name must be 1 to 100 printable characters, found 'b\\n'"),
        (": 1", "f:1: a name must be 1 to 100 printable characters, found null"),
        ('a: "\\ud800"', "f:1: a: must not have NUL or surrogate characters"),
        ('a: "\\0"', "f:1: a: must not have NUL or surrogate characters"),
        ("a: 1\n---\nb: 2", "f:2: a file must have one document, found more"),
        ("a: [1, 2\nb: 3", "f:2: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 'x\n", "f:2: not valid YAML: found unexpected end of stream"),
        ("a: 1\n\tb: 2", "f:2: not valid YAML"),
        ("a: 1\nb: \x07", "f:2: not valid YAML: the character U+0007 is not allowed"),
        ('a: "\\U0011ffff"', "f: not valid YAML: cannot be read: chr()"),
        ('a: "\\UFFFFFFFF"', "f: not valid YAML: cannot be read"),
        ("*a : 1\n*b : 2", "f:2: aliases (*name) are not allowed"),
        ("[" * 30, "f:1: not valid YAML: a file must have at most 20 levels, found more"),
        ("- " * 30, "f:1: not valid YAML: a file must have at most 20 levels, found more"),
        ("- 1\n" * 6000, "f:5000: not valid YAML: a file must have at most 5000 values, found more"),
        ("#" * (MAX_BYTES + 1), "f: a file must have at most 256 KiB, found more"),
    ],
)
def test_an_invalid_text_is_rejected(text: str, line: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_yaml(text, "f")
    assert str(raised.value).splitlines()[-1].startswith(line)


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 250_000, "a: {" + "a: 1, " * 40_000, "!" * 250_000, "- " * 125_000, "a\n" * 125_000, "? " * 125_000],
    ids=["brackets", "duplicates", "tag", "sequences", "lines", "keys"],
)
def test_a_hostile_text_is_left_early(text: str) -> None:
    start = time.process_time()
    with contextlib.suppress(SpecError):
        parse_yaml(text, "f")
    assert time.process_time() - start < 2
