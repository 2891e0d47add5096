from __future__ import annotations

import pytest
from pydantic import ValidationError

from search_spaces.recipe.recipe import Recipe
from search_spaces.specs.command_task import CommandTask, validate_command


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (("python", "train.py"), "train.py"),
        (("torchrun", "--nproc-per-node=2", "src/train.py", "${args}"), "train.py"),
        (("./run",), "run"),
        (("python", "-m", "train", "${args}"), "train"),
        (("python", "train.py", "-m", "fast"), "train.py"),
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
        ({"command": "python train.py"}, "valid tuple"),
        ({"command": ["a"], "metrics": {"csv": "a", "jsonl": "b"}}, "must be stdout"),
        ({"command": ["a"], "grace_s": 0}, "greater than 0"),
    ],
)
def test_what_is_wrong_with_a_command(values: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        CommandTask.model_validate(values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"command": ["a"], "config": "base.yaml"},
            "task.config: must be used by the command, found no ${config} in it",
        ),
        (
            {"command": ["a", "${config}"]},
            "task.command.1: ${config} has no value, since the task has no config file",
        ),
    ],
)
def test_a_config_file_and_its_placeholder_need_each_other(values: dict[str, object], problem: str) -> None:
    [found] = validate_command(CommandTask.model_validate(values), Recipe())
    assert f"{found.field}: {found.message}" == problem
