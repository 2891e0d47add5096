from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError, RunError
from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import CommandTask
from trainers.command.start import CommandStart
from trainers.command.training import CommandTraining
from trainers.reports import EpochReport

Open = Callable[..., CommandTraining]
STEPS = Budget(steps=9)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    trainings: list[CommandTraining] = []

    def begin(script: str, recorded: int = 0, budget: Budget = STEPS, **fields: object) -> CommandTraining:
        task = CommandTask.model_validate({"command": ["sh", "-c", script], "grace_s": 5, **fields})
        start = CommandStart(task.command, dict(os.environ), str(tmp_path), tmp_path, False)
        trainings.append(CommandTraining(task, start, budget, recorded))
        return trainings[-1]

    yield begin
    for one in trainings:
        one.close()


def reports(training: CommandTraining) -> list[EpochReport]:
    found = []
    while not training.finished:
        if (report := training.advance(1)) is not None:
            found.append(report)
    return found


def test_what_a_program_prints_is_reported_step_by_step(opened: Open) -> None:
    training = opened("echo step=1 loss=3; echo step=2 loss=2 val_loss=5; echo step=2 acc=1; echo bye")
    found = reports(training)
    assert [(one.epoch, dict(one.metrics)) for one in found] == [
        (1, {"train/loss": 3}),
        (2, {"train/loss": 2, "val/loss": 5, "train/acc": 1}),
    ]
    assert (training.epoch, training.step, training.finished, dict(training.fingerprint)) == (2, 0, True, {})
    assert all(one.seconds > 0 and not one.late for one in found)


def test_nothing_yet_is_no_report(opened: Open) -> None:
    training = opened("sleep 60")
    assert training.advance(1) is None
    assert not training.finished


@pytest.mark.parametrize(
    ("source", "file", "text"),
    [
        ("jsonl", "log.jsonl", r'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n'),
        ("csv", "v/metrics.csv", r"step,loss\n1,0.5\n2,0.25\n"),
    ],
)
def test_files_of_the_run_are_read(opened: Open, source: str, file: str, text: str) -> None:
    training = opened(f"mkdir -p v; printf '{text}' > {file}; echo step=7 loss=1", metrics={source: file})
    assert [(one.epoch, dict(one.metrics)) for one in reports(training)] == [
        (1, {"train/loss": 0.5}),
        (2, {"train/loss": 0.25}),
    ]


def test_a_result_is_read_at_the_end(opened: Open) -> None:
    training = opened("""printf '{"step": 9, "val": {"f1": 0.5}}' > result.json""", metrics={"file": "result.json"})
    assert [(one.epoch, dict(one.metrics)) for one in reports(training)] == [(9, {"val/f1": 0.5})]


def test_a_value_that_is_no_number_is_reported_as_such(opened: Open) -> None:
    [report] = reports(opened("echo step=1 loss=nan val_loss=inf"))
    assert sorted(report.not_finite) == ["train/loss", "val/loss"]


@pytest.mark.parametrize(("recorded", "late"), [(0, [True, False, True, False]), (1, [False, False, False, False])])
def test_a_program_may_count_from_0_and_add_to_an_earlier_step(opened: Open, recorded: int, late: list[bool]) -> None:
    lines = ("epoch: 0 val_loss: 4", "epoch: 1 val_loss: 3", "epoch: 0 acc: 1", "epoch: 2 val_loss: 2")
    script = "; ".join(f"echo {line}" for line in lines)
    found = reports(opened(script, recorded, Budget(epochs=3)))
    assert [one.epoch for one in found] == [0, 1, 0, 2]
    assert [one.late for one in found] == late
    assert [one.seconds == 0 for one in found] == [True, recorded == 1, True, False]


def test_an_error_has_the_last_lines_of_the_output(opened: Open) -> None:
    training = opened("for i in $(seq 30); do echo line $i; done; echo step=1 loss=2; echo no memory >&2; exit 3")
    with pytest.raises(RunError) as raised:
        reports(training)
    *lines, end = str(raised.value).splitlines()
    assert end == "the command ended: exit code 3; its last line: no memory"
    assert lines == [*(f"line {number}" for number in range(13, 31)), "step=1 loss=2", "no memory"]
    assert not training.finished


def test_a_program_that_fails_after_its_whole_budget_has_failed(opened: Open) -> None:
    training = opened("for i in $(seq 9); do echo step=$i loss=2; done; exit 1")
    with pytest.raises(RunError, match="exit code 1"):
        reports(training)
    assert (training.epoch, training.finished) == (9, False)


def test_a_silent_death_by_a_signal_is_one_line(opened: Open) -> None:
    with pytest.raises(RunError, match=r"^the command ended: killed by SIGKILL$"):
        reports(opened("kill -KILL $$"))


def test_closing_stops_the_program_and_closes_the_files(opened: Open, tmp_path: Path) -> None:
    lines = """echo '{"step": 1, "a": 1}'; echo '{"step": 2, "a": 1}'"""
    script = f"trap 'echo > stopped; exit' TERM; {{ {lines}; }} > log; while :; do sleep 0.05; done"
    training = opened(script, metrics={"jsonl": "log"})
    while training.advance(1) is None:
        pass
    training.close()
    del training
    gc.collect()  # an open file would be a warning, and so an error
    assert (tmp_path / "stopped").exists()


def test_it_has_no_state(opened: Open) -> None:
    training = opened("true")
    assert training.state_dict() is None
    with pytest.raises(CheckpointError):
        training.load_state_dict({})
