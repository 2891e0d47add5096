"""The lines around the output of a command are exact, and have no secrets of the environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from search_spaces import Budget
from search_spaces.specs.command_task import CommandTask
from trainers.command.start import CommandStart
from trainers.command.training import CommandTraining
from trainers.command.transcript import PROMPT, opening, stopped


@pytest.mark.parametrize("word", ["a b", "it's", "$HOME", "", "*", "line\nnext\r", "é"])
def test_a_shell_reads_the_same_words(word: str) -> None:
    line = opening(["printf", "%s|", word, "x"], {}, False)
    assert "\n" not in line
    done = subprocess.run(["bash", "-c", line.removeprefix(PROMPT)], capture_output=True, check=True)
    assert done.stdout.decode() == f"{word}|x|"


def test_only_what_matters_of_the_environment_is_named() -> None:
    environment = {
        "SWEEPS_ARG_LR": "0.1",
        "SWEEPS_ARG_API_TOKEN": "abc",
        "SWEEPS_RUN": "3",
        "CUDA_VISIBLE_DEVICES": "1",
        "WANDB_API_KEY": "secret",
    }
    assert opening(["train"], environment, False) == "$ CUDA_VISIBLE_DEVICES=1 train"
    assert opening(["train"], environment, True) == "$ CUDA_VISIBLE_DEVICES=1 SWEEPS_ARG_LR=0.1 train"


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (-15, "stopped by SIGTERM after 1.2 s"),
        (0, "stopped by SIGTERM after 1.2 s: exit code 0"),
        (-9, "killed by SIGKILL, 1.2 s after SIGTERM"),
    ],
)
def test_how_a_stopped_program_ended(code: int, line: str) -> None:
    assert stopped(code, 1.234) == line


def open_training(folder: Path, script: str, kept: list[bytes]) -> CommandTraining:
    task = CommandTask(command=("sh", "-c", script), grace_s=5.0)
    start = CommandStart(task.command, dict(os.environ), str(folder), folder, False)
    return CommandTraining(task, start, Budget(steps=9), keep=kept.append)


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("echo a; echo b >&2", ["a", "b", "exit code 0"]),
        ("printf a; exit 3", ["a", "exit code 3"]),
        ("kill -KILL $$", ["killed by SIGKILL"]),
        (":", ["exit code 0"]),
    ],
)
def test_output_has_the_command_before_it_and_the_end_after_it(tmp_path: Path, script: str, lines: list[str]) -> None:
    kept: list[bytes] = []
    training = open_training(tmp_path, script, kept)
    while lines[-1].encode() not in kept[-1]:
        try:
            training.advance(1)
        except Exception:  # noqa: BLE001  a failed command, whose output is what this test is about
            continue
    training.close()
    training.close()
    command = opening(("sh", "-c", script), os.environ, False)
    assert b"".join(kept).decode().splitlines() == [command, *lines]


def test_what_a_stopped_program_prints_is_kept(tmp_path: Path) -> None:
    kept: list[bytes] = []
    training = open_training(tmp_path, "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done", kept)
    while b"\nready\n" not in b"".join(kept):  # the line of the command has the word, too
        training.advance(1)
    training.close()
    training.close()
    lines = b"".join(kept).decode().splitlines()
    assert (lines[1], lines[-2]) == ("ready", "saved")  # between them, the shell may say how its sleep has ended
    end = lines[-1]
    assert end.startswith("stopped by SIGTERM after ")
    assert end.endswith(" s: exit code 0")
