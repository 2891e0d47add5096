from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from search_spaces import UsageError
from search_spaces.specs.command_task import CommandTask
from sweeps.preflight.command import prepare_command


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/bin")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("program", [os.path.basename(sys.executable), "sh", "./run", "${args.program}"])
def test_programs_that_can_be_started(program: str) -> None:
    Path("run").write_text("#!/bin/sh\n")
    Path("run").chmod(0o755)
    assert prepare_command(CommandTask(command=(program,)))["data"] == {}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("no-such", "task.command: there is no program no-such; write its path, or install it"),
        ("./run", "task.command: ./run is not executable; chmod +x it, or start it with its interpreter: [sh, ./run]"),
    ],
)
def test_programs_that_cannot_be_started(program: str, message: str) -> None:
    Path("run").touch()
    with pytest.raises(UsageError) as raised:
        prepare_command(CommandTask(command=(program,)))
    assert raised.value.problems == (message,)


def test_the_digests_are_those_of_its_files_and_of_what_its_script_imports() -> None:
    Path("train.py").write_text("import model\n")
    Path("model.py").write_text("import json\n")
    Path("base.yaml").write_text("a: 1\n")
    task = CommandTask(command=("sh", "train.py", "${config}"), config="base.yaml")
    before = prepare_command(task)["sources"]
    assert set(before) == {"train.py", "model", "base.yaml"}
    Path("model.py").write_text("import os\n")
    after = prepare_command(task)["sources"]
    assert [name for name in before if before[name] != after[name]] == ["model"]
