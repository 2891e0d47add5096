"""What is wrong with a command is found before anything starts, every problem at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from search_spaces import Recipe, UsageError
from search_spaces.specs.command_task import CommandTask
from sweeps.preflight.command import prepare_command
from tests.command import in_this_process

RECIPE = Recipe(args={"optimizer.lr": 0.1})


@pytest.mark.parametrize(
    ("program", "config", "texts"),
    [
        ("no-such", None, ["task.command: there is no program no-such; write its path, or install it"]),
        ("./train", None, ["./train is not executable; chmod +x it, or write its interpreter: [sh, ./train]"]),
        ("sh", "gone.yaml", ["task.config: there is no file gone.yaml in "]),
        ("sh", "other.yaml", ["other.yaml: optimizer.lr: a value to replace must be in the file", "optimizer.lrate"]),
        ("sh", "broken.json", ["broken.json:1: not valid JSON"]),
        ("sh", "base.txt", ["the name of a config file must end with .yaml"]),
        ("no-such", "other.yaml", ["no program no-such", "other.yaml: optimizer.lr"]),
    ],
)
def test_problems(
    program: str, config: str | None, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"train": "echo", "other.yaml": "optimizer: {lrate: 1}\n", "broken.json": "{", "base.txt": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as refused:
        prepare_command(CommandTask(command=(program, "${config}"), config=config), RECIPE)
    for text in texts:
        assert text in str(refused.value)


def test_a_program_and_a_config_file_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "base.yaml").write_text("optimizer: {lr: 1.0}\n")
    command = CommandTask(command=("python", "${config}"), config="base.yaml")  # the one that runs this
    assert list(prepare_command(command, RECIPE)["sources"]) == ["base.yaml"]


def test_a_command_cannot_write_to_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(
        "kind: sweep\ntask: {command: [sh, -c, 'true', '${args}']}\nmetric: {name: val/loss, goal: minimize}\n"
        "budget: {steps: 4}\nargs: {lr: 0.1}\nsearch: {args.lr: {loguniform: [1e-4, 1]}}\nruns: 2\n"
    )
    sweeps = in_this_process(monkeypatch, capsys, 160)
    done = sweeps("run", "a.yaml", "--local", "--storage", sqlite_url, "--checkpoints", "memory://bucket/runs")
    assert done.code == 2
    assert "a command writes its files to a disk" in done.err


@pytest.mark.parametrize("program", [os.path.basename(sys.executable), "sh", "./run", "${args.program}"])
def test_programs_that_can_be_started(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").write_text("#!/bin/sh\n")
    Path("run").chmod(0o755)
    assert prepare_command(CommandTask(command=(program,)), RECIPE)["data"] == {}


def test_the_digests_are_those_of_its_files_and_of_what_its_script_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("import model\n")
    Path("model.py").write_text("import json\n")
    Path("base.yaml").write_text("a: 1\n")
    task = CommandTask(command=("sh", "train.py", "${config}"), config="base.yaml")
    before = prepare_command(task, Recipe())["sources"]
    assert set(before) == {"train.py", "model", "base.yaml"}
    Path("model.py").write_text("import os\n")
    after = prepare_command(task, Recipe())["sources"]
    assert [name for name in before if before[name] != after[name]] == ["model"]
