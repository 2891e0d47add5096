from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.command.hydra_overrides import hydra_overrides, hydra_value
from search_spaces.command.inputs import Argument
from search_spaces.errors import UsageError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "0.001"),
        (-1e-5, "-1e-05"),
        (1.0, "1.0"),
        (64, "64"),
        (True, "true"),
        (None, "null"),
        ("adamw", "adamw"),
        ("a/b-c.pt", "a/b-c.pt"),
        ("", "''"),
        ("1", "'1'"),
        ("True", "'True'"),
        ("NULL", "'NULL'"),
        ("nan", "'nan'"),
        ("a b,c=[d]", "'a b,c=[d]'"),
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\b'"),
        ("a\\", r"'a\\'"),
        ("a\\'b", r"'a\\\'b'"),
        ("${x}", r"'\${x}'"),
        ("\\${x}", r"'\\\${x}'"),
        ("a\nb", "'a\nb'"),
        ([1, "b c", None], "[1,'b c',null]"),
        ((), "[]"),
        ({"a": 1, "b": ["x"]}, "{a:1,b:[x]}"),
        ({}, "{}"),
    ],
)
def test_the_grammar_of_a_value(value: Argument, text: str) -> None:
    assert hydra_value(value) == text


def test_an_override_has_the_name_as_it_is_written() -> None:
    args = {"optimizer.lr": 1e-3, "weight-decay": None, "+new": "x"}
    assert hydra_overrides(args) == ("optimizer.lr=0.001", "weight-decay=null", "+new=x")


@pytest.mark.parametrize("key", ["a b", "", "1", "null", "é"])
def test_a_key_that_the_grammar_lacks_is_an_error(key: str) -> None:
    with pytest.raises(UsageError, match="a key of a section in a Hydra override must be letters"):
        hydra_value({key: 1})


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.text("a\\'\"${}: ")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.from_regex(r"x[a-z_]*", fullmatch=True)
VALUES = st.recursive(SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=3))


@given(value=VALUES)
@settings(max_examples=50, deadline=None)
def test_hydra_reads_what_was_written(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    hydra = pytest.importorskip("hydra")
    from omegaconf import OmegaConf

    folder: Path = tmp_path_factory.getbasetemp() / "hydra"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("value: null\n")
    with hydra.initialize_config_dir(str(folder), version_base=None):
        config = hydra.compose("config", list(hydra_overrides({"value": value})))
    read = OmegaConf.to_container(config, resolve=True)["value"]
    assert (read, type(read)) == (value, type(value))
