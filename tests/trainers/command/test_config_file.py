from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SpecError
from search_spaces.values import Value
from trainers.command.config_file import ConfigFile, read_config, write_copy

YAML_TEXT = """\
# my config
optimizer:
  lr: 1e-3   # the rate
  betas: [0.9, 0.999]
  kind: adamw
layers:
  - size: 64
  - {size: 32, act: "relu"}
use_ema: no
"""
TOML_TEXT = """\
# my config
steps = 1_000   # many
[optimizer]
lr = 1e-3   # the rate
betas = [0.9,  0.999]  # two
inner = { a = 1, b = "x" }

[[layers]]
size = 64
[[layers]]
size = 32 # small
[a.b]
c = 1979-05-27
"""
JSON_TEXT = '{\n\t"optimizer": {"lr": 1e-3, "betas":[0.9, 0.999]},\n\t"name": "x"\n}\n'
CASES = [("c.yaml", YAML_TEXT), ("c.toml", TOML_TEXT), ("c.json", JSON_TEXT)]


def written(folder: Path, name: str, text: str) -> ConfigFile:
    (folder / name).write_bytes(text.encode())
    return read_config(folder / name)


def problems(config: ConfigFile, values: dict[str, Value]) -> list[str]:
    with pytest.raises(SpecError) as refusal:
        config.replaced(values)
    lines = str(refusal.value).splitlines()
    assert len(lines) == len(refusal.value.problems)
    return [line.replace(f"{config.path.parent}/", "") for line in lines]


@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_copy_without_changes_has_the_same_bytes(tmp_path: Path, name: str, text: str) -> None:
    for one in (text, text.replace("\n", "\r\n")):
        config = written(tmp_path, name, one)
        write_copy(config, {}, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == one.encode()


def test_yaml(tmp_path: Path) -> None:
    config = written(tmp_path, "c.yaml", YAML_TEXT)
    assert config.scalars() == {
        "optimizer.lr": 1e-3,
        "optimizer.betas.0": 0.9,
        "optimizer.betas.1": 0.999,
        "optimizer.kind": "adamw",
        "layers.0.size": 64,
        "layers.1.size": 32,
        "layers.1.act": "relu",
        "use_ema": "no",
    }
    values: dict[str, Value] = {"optimizer.lr": 1e-5, "optimizer.kind": "no", "layers.1.size": 16, "use_ema": True}
    write_copy(config, {**values, "optimizer.betas": (0.8, 0.9)}, tmp_path / "copy.yaml")
    copy = (tmp_path / "copy.yaml").read_text()
    expected = YAML_TEXT.replace("1e-3", "1.0e-05").replace("adamw", '"no"').replace("size: 32", "size: 16")
    assert copy == expected.replace("ema: no", "ema: true").replace("0.9, 0.999", "0.8, 0.9")
    assert yaml.safe_load(copy)["optimizer"] == {"lr": 1e-5, "betas": [0.8, 0.9], "kind": "no"}


def test_toml(tmp_path: Path) -> None:
    config = written(tmp_path, "c.toml", TOML_TEXT)
    assert config.scalars() == {
        "steps": 1000,
        "optimizer.lr": 1e-3,
        "optimizer.betas.0": 0.9,
        "optimizer.betas.1": 0.999,
        "optimizer.inner.a": 1,
        "optimizer.inner.b": "x",
        "layers.0.size": 64,
        "layers.1.size": 32,
        "a.b.c": "1979-05-27",
    }
    values: dict[str, Value] = {"optimizer.lr": 1e-5, "optimizer.betas.1": 0.5, "optimizer.inner.b": "y", "steps": 3}
    copy = config.replaced({**values, "layers.1.size": 1.0, "a.b.c": (1, 2)})
    expected = TOML_TEXT.replace("1_000", "3").replace("1e-3", "1e-05").replace("0.999", "0.5").replace('"x"', '"y"')
    assert copy == expected.replace("size = 32", "size = 1.0").replace("1979-05-27", "[1, 2]")
    assert tomllib.loads(copy)["layers"] == [{"size": 64}, {"size": 1.0}]


def test_json(tmp_path: Path) -> None:
    config = written(tmp_path, "c.json", JSON_TEXT)
    assert config.scalars() == {
        "optimizer.lr": 1e-3,
        "optimizer.betas.0": 0.9,
        "optimizer.betas.1": 0.999,
        "name": "x",
    }
    copy = config.replaced({"optimizer.lr": 1e-5, "optimizer.betas": (1, 0.5), "name": None})
    assert copy == JSON_TEXT.replace("1e-3", "1e-05").replace("[0.9, 0.999]", "[1, 0.5]").replace('"x"', "null")
    assert json.loads(copy) == {"optimizer": {"lr": 1e-5, "betas": [1, 0.5]}, "name": None}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"optimizer.lrr": 1},
            "optimizer.lrr: a value to replace must be in the file, found none; closest: optimizer.lr",
        ),
        ({"zzzzz": 1}, "zzzzz: a value to replace must be in the file, found none; the file has "),
        ({"optimizer": 1}, "optimizer: must be a value, found a section; closest: optimizer.lr, "),
        (
            {"optimizer.betas.2": 1},
            "optimizer.betas.2: a value to replace must be in the file, found none; closest: opti",
        ),
        ({"optimizer.lr.x": 1}, "optimizer.lr.x: a value to replace must be in the file, found none; closest: optimi"),
        (
            {"optimizer.betas": (1, 2), "optimizer.betas.0": 1},
            "optimizer.betas.0: is a part of optimizer.betas, which is replaced, too; leave out one of them",
        ),
    ],
)
@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_value_that_cannot_be_replaced(
    tmp_path: Path, name: str, text: str, values: dict[str, Value], line: str
) -> None:
    [found] = problems(written(tmp_path, name, text), values)
    where, _, rest = found.partition(": ")
    assert where.split(":")[0] == name
    assert rest.startswith(line)


def test_every_problem_is_found_at_once_with_its_line(tmp_path: Path) -> None:
    config = written(tmp_path, "c.yaml", "a: 1\nb: &x\n  c: 2\nd: *x\na: 3\n")
    found = problems(config, {"a": 1, "b": 2, "d.c": 3, "e": 4})
    assert found == [
        "c.yaml:5: a: a must be in the file once and with a value; correct the file",
        "c.yaml:2: b: must be a value, found a section; closest: b.c",
        "c.yaml: d.c: a value to replace must be in the file, found none; d is an alias; write its section out",
        "c.yaml: e: a value to replace must be in the file, found none; the file has a, b.c, d",
    ]


def test_toml_has_no_null(tmp_path: Path) -> None:
    config = written(tmp_path, "c.toml", "a = 1\nb = 2\n")
    assert problems(config, {"a": None, "b": (1, None)}) == [
        "c.toml: a: must not be null, which TOML lacks; use another value",
        "c.toml: b: must not be null, which TOML lacks; use another value",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.yaml", b"a: [1\n", "c.yaml:2: not valid YAML: "),
        ("c.json", b'{"a": 1,\n "b" 2}', "c.json:2: not valid JSON: Expecting ':' delimiter"),
        ("c.toml", b"a = 1\nb = \n", "c.toml: not valid TOML: .*line 2"),
        ("c.toml", b"a = 1\na = 2\n", "c.toml: not valid TOML: .*"),
        ("c.yaml", b"a: \xff\n", "c.yaml:1: a file must be UTF-8 text, found other bytes"),
        ("c.json", b"[" * 100_000, "c.json: must have fewer levels, found too many to read"),
        ("c.toml", b"a = " + b"[" * 100_000, "c.toml: not valid TOML: TOML value nested more than 100 levels"),
        ("c.ini", b"a = 1\n", "c.ini: the name of a config file must end with .yaml, .yml, .toml, .json; found '.ini'"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=message) as refusal:
        read_config(tmp_path / name)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"c\.yaml: cannot be read: No such file or directory"):
        read_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(("name", "text"), [("c.yaml", ""), ("c.yaml", "# x\n"), ("c.toml", ""), ("c.json", "{}")])
def test_an_empty_file(tmp_path: Path, name: str, text: str) -> None:
    config = written(tmp_path, name, text)
    assert config.scalars() == {}
    assert problems(config, {"a": 1}) == [f"{name}: a: a value to replace must be in the file, found none; it is empty"]


def test_a_copy_is_readable_by_no_one_else(tmp_path: Path) -> None:
    config = written(tmp_path, "c.yaml", "a: 1\n")
    config.path.chmod(0o600)
    write_copy(config, {"a": 2}, tmp_path / "copy.yaml")
    assert (tmp_path / "copy.yaml").stat().st_mode & 0o777 == 0o600


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.booleans() | NUMBERS | TEXTS


@settings(max_examples=100, deadline=None)
@given(first=SCALARS, second=SCALARS, third=st.lists(SCALARS))
@pytest.mark.parametrize("kind", ["yaml", "toml", "json"])
def test_values_are_read_as_they_were_written(kind: Any, first: Any, second: Any, third: Any) -> None:
    read = {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}[kind]
    text = {"yaml": YAML_TEXT, "toml": TOML_TEXT, "json": JSON_TEXT}[kind]
    values = {"optimizer.lr": first, "optimizer.betas.1": second}
    config = ConfigFile(Path("c"), kind, text)
    expected: Any = read(text)
    expected["optimizer"].update(lr=first, betas=[0.9, second])
    found = read(config.replaced(values))
    assert found == expected
    assert [type(one) for one in found["optimizer"]["betas"]] == [float, type(second)]
    assert type(found["optimizer"]["lr"]) is type(first)
    expected["optimizer"]["betas"] = third
    assert read(config.replaced({"optimizer.lr": first, "optimizer.betas": tuple(third)})) == expected
