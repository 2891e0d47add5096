from __future__ import annotations

import pytest
from pydantic import ValidationError

from search_spaces.specs.command_task import CommandTask


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (("python", "train.py"), "train.py"),
        (("torchrun", "--nproc-per-node=2", "src/train.py", "${args}"), "train.py"),
        (("./run",), "run"),
        (("python", "-m", "pkg.train"), "pkg.train"),
        (("/usr/bin/env", "x"), "env"),
    ],
)
def test_the_title_is_the_script(command: tuple[str, ...], title: str) -> None:
    assert CommandTask(command=command).title == title


def test_numbers_are_words_as_they_are_written() -> None:
    assert CommandTask.model_validate({"command": ["x", 2, 0.5]}).command == ("x", "2", "0.5")


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"command": []}, "must start with a program"),
        ({"command": [" "]}, "must start with a program"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["a", None]}, "must be a text, found null"),
        ({"command": "python train.py"}, "list"),
        ({"command": ["a"], "config": "base.yaml"}, "config is not used"),
        ({"command": ["a", "${config}"]}, "add config: FILE"),
        ({"command": ["a"], "metrics": {"csv": "a", "jsonl": "b"}}, "must be stdout"),
        ({"command": ["a"], "grace_s": 0}, "greater than 0"),
    ],
)
def test_what_is_wrong_with_a_command(values: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        CommandTask.model_validate(values)
