from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from search_spaces import UsageError
from search_spaces.specs.command_task import CommandTask
from sweeps.engine.checkpoint_files import check_on_disk
from sweeps.preflight.command import prepare_command
from tests.command import in_this_process
from trainers.storage.address import open_folder
from trainers.storage.local import LocalFolder


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


def test_what_looks_into_a_training_rejects_a_command_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.yaml").write_text(
        'kind: sweep\ntask: {command: [sh, "${args}"]}\nmetric: {name: val/loss, goal: minimize}\n'
        "budget: {epochs: 3}\nargs: {lr: 1}\nsearch: {args.lr: {uniform: [0, 1]}}\nruns: 2\n"
    )
    call = in_this_process(monkeypatch, capsys)
    for command, words in (("check", "the checks of a training need"), ("lr-find", "the learning rate range test")):
        done = call(command, "s.yaml")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert done.err.startswith(f"sh: {words}")


def test_a_command_writes_to_a_disk(tmp_path: Path) -> None:
    check_on_disk(LocalFolder(tmp_path))
    with pytest.raises(UsageError, match=r"^--checkpoints: s3://bucket/x: a command writes its files to a disk"):
        check_on_disk(open_folder("s3://bucket/x"))
