from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.specs.command_task import CommandTask
from trainers.command.start import CommandStart, open_start

RESUMABLE = ("sh", "train.sh", "${args}", "--steps", "${steps}", "${resume:--from ${out}/last}")


def start(
    folder: Path,
    command: tuple[str, ...] = RESUMABLE,
    attempt: int = 1,
    seed: int = 7,
    gpu: float = 0.0,
    **fields: Any,
) -> CommandStart:
    recipe = Recipe(args={"lr": 0.5, "name": None}, budget=Budget(steps=9))
    return open_start(
        CommandTask(command=command, **fields), recipe, 3, seed, attempt, folder / "out/000003", str(folder), gpu
    )


def test_the_words_folder_and_environment_of_a_run(tmp_path: Path) -> None:
    found = start(tmp_path)
    assert found.words == ("sh", "train.sh", "--lr", "0.5", "--steps", "9")
    assert (found.folder, found.outputs, found.resumes) == (str(tmp_path), tmp_path / "out/000003", False)
    assert found.outputs.is_dir()
    wanted = {"STEPS": "9", "RUN": "3", "SEED": "7", "OUT": str(found.outputs), "RESUME": "0", "ARG_LR": "0.5"}
    assert {name: found.environment[f"SWEEPS_{name}"] for name in wanted} == wanted
    assert "SWEEPS_EPOCHS" not in found.environment
    assert found.environment["HOME"] == os.environ["HOME"]


def test_a_run_without_a_share_of_a_gpu_sees_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert start(tmp_path).environment["CUDA_VISIBLE_DEVICES"] == ""
    assert start(tmp_path, gpu=0.5).environment["CUDA_VISIBLE_DEVICES"] == "2"


def test_the_seed_fits_an_int(tmp_path: Path) -> None:
    assert start(tmp_path, ("sh", "${seed}", "${args}"), seed=2**63 - 1).words[1] == str(2**31 - 1)


@pytest.mark.parametrize(
    ("command", "attempt", "left", "resumes"),
    [
        (RESUMABLE, 1, True, False),  # of an earlier sweep with this name
        (RESUMABLE, 2, True, True),
        (RESUMABLE, 2, False, False),  # it was ended before it saved anything
        (("sh", "${args}"), 2, True, False),
    ],
)
def test_a_run_resumes_if_its_command_can_and_an_earlier_start_left_something(
    tmp_path: Path, command: tuple[str, ...], attempt: int, left: bool, resumes: bool
) -> None:
    saved = tmp_path / "out/000003/last"
    saved.parent.mkdir(parents=True)
    if left:
        saved.touch()
    found = start(tmp_path, command, attempt)
    assert (found.resumes, saved.exists(), found.environment["SWEEPS_RESUME"]) == (resumes, resumes, str(int(resumes)))
    assert (found.words[-2:] == ("--from", str(saved))) == resumes


def test_the_copy_of_a_config_file_has_the_arguments_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"lr": 1,  "name": null, "deep": {"x": 1e-3}}\n')
    found = start(tmp_path, ("sh", "${config}"), config="base.json")
    copy = found.outputs / "config.json"
    assert found.words == ("sh", str(copy))
    assert copy.read_text() == '{"lr": 0.5,  "name": null, "deep": {"x": 1e-3}}\n'
    assert json.loads((tmp_path / "base.json").read_text())["lr"] == 1


SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--flag", action=argparse.BooleanOptionalAction)
parser.add_argument("--sizes", type=int, nargs="*")
parser.add_argument("--note")
parser.add_argument("--rate", type=float)
print(json.dumps(vars(parser.parse_args())))
"""


@pytest.mark.parametrize(
    "changed",
    [
        {"note": "a b"},
        {"note": 'it\'s "quoted" `x`'},
        {"note": "${args.rate} $HOME $${ *"},
        {"note": "line\nbreak\ttab"},
        {"note": "-dash", "flag": False},
        {"note": "--rate", "sizes": [-3, 0]},
        {"note": "", "sizes": []},
        {"note": "null", "rate": None, "flag": None},
        {"note": "grüße 🙂", "rate": -1e-05},
    ],
)
def test_a_script_gets_every_value_as_it_is(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    args = {"flag": True, "sizes": [1, 2], "note": "x", "rate": 0.5, **changed}
    task = CommandTask(command=(sys.executable, "-S", "train.py", "${args}"))
    start = open_start(task, Recipe(args=args, budget=Budget(epochs=1)), 0, 0, 1, tmp_path / "out", str(tmp_path))
    done = subprocess.run(start.words, env=start.environment, cwd=start.folder, check=True, capture_output=True)
    assert json.loads(done.stdout) == args
