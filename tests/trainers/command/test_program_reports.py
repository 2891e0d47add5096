from __future__ import annotations

import json
import math
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from search_spaces.errors import RunError
from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import CommandTask
from trainers.command.program_reports import ProgramReports
from trainers.command.start import CommandStart
from trainers.command.training import CommandTraining
from trainers.reports import EpochReport

ROOT = Path(__file__).resolve().parents[3]
Open = Callable[..., CommandTraining]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Open]:
    opened: list[CommandTraining] = []

    def begin(script: str, environment: dict[str, str] | None = None, **options: Any) -> CommandTraining:
        (tmp_path / "train.py").write_text(f"from sweeps.client import report\n{script}")
        words = (sys.executable, "train.py")
        task = CommandTask(command=words, **{"metrics": "report", **options})
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environment or {})}
        where = CommandStart(words, variables, str(tmp_path), tmp_path, resumes=False)
        opened.append(CommandTraining(task, where, Budget(steps=40)))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def next_report(training: CommandTraining) -> EpochReport:
    while (report := training.advance(1)) is None:
        assert not training.finished
    return report


def everything(training: CommandTraining) -> list[EpochReport]:
    found = []
    while not training.finished:
        found += [report for report in [training.advance(1)] if report is not None]
    return found


def test_a_report_waits_until_the_call_after_it(start: Open, tmp_path: Path) -> None:
    training = start("print(report({'val/loss': 0.5}, step=10), file=open('answer', 'w'))")
    report = next_report(training)
    assert (report.epoch, report.metrics, report.awaited) == (10, {"val/loss": 0.5}, True)
    assert not (tmp_path / "answer").exists()
    assert everything(training) == []
    assert (tmp_path / "answer").read_text() == "False\n"


def test_values_are_recorded_as_those_of_files(start: Open) -> None:
    script = "report({'eval_loss': 1, 'lr': None, 'val/acc': float('nan'), 'old': float('inf')}, step=1, epoch=7)"
    [report] = everything(start(script, rename={"old": "val/new"}))
    assert report.epoch == 1
    assert {name: value for name, value in report.metrics.items() if not math.isnan(value)} == {
        "eval/loss": 1.0,
        "val/new": math.inf,
    }
    assert {name for name, value in report.metrics.items() if math.isnan(value)} == {"train/lr", "val/acc"}


def test_what_is_printed_counts_unless_the_program_reports_alone(start: Open) -> None:
    script = "print('step 1: train loss 2.5')\nreport({'val/loss': 0.5}, step=1)\nprint('step 2: train loss 1.5')"
    both = everything(start(script, metrics="stdout"))
    assert [(one.epoch, dict(one.metrics), one.awaited) for one in both] == [
        (1, {"train/loss": 2.5, "val/loss": 0.5}, True),
        (2, {"train/loss": 1.5}, False),
    ]
    assert [dict(one.metrics) for one in everything(start(script))] == [{"val/loss": 0.5}]


def test_two_reports_of_a_step_and_one_that_repeats_it(start: Open) -> None:
    script = "for name in ('val/a', 'val/b', 'val/a'): report({name: 0.5}, step=3)"
    reports = everything(start(script))
    assert [(one.epoch, dict(one.metrics)) for one in reports] == [(3, {"val/a": 0.5}), (3, {"val/b": 0.5})]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("report({'val/loss': 0.5}, epoch=1)", "ValueError: report: the budget of this sweep is in steps: pass step="),
        (f"report({{'val/{'x' * 200}': 0.5}}, step=1)", "must be split/name, such as val/accuracy, of at most 128"),
        ("report({'lr': 1, 'train/lr': 2}, step=1)", "train/lr has two names on one line"),
    ],
)
def test_the_program_is_told_what_is_wrong(start: Open, call: str, error: str) -> None:
    with pytest.raises(RunError, match="exit code 1") as found:
        everything(start(call))
    assert error in str(found.value)


STOPPING = """
step = 0
while not report({'val/loss': 1.0}, step=(step := step + 1)):
    pass
report({'test/loss': 1.0}, step=step)  # not recorded, and no reason to be killed
print('saved', file=open('saved', 'w', buffering=1))
"""


def test_a_program_that_is_told_to_stop_saves_and_ends_by_itself(start: Open, tmp_path: Path) -> None:
    training = start(STOPPING)
    next_report(training)
    next_report(training)
    training.close()
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert training.finished is False


def test_a_program_that_ignores_the_answer_is_ended(start: Open, tmp_path: Path) -> None:
    script = "for step in range(1, 10**9): print(report({'val/loss': 1.0}, step=step), file=open('answers', 'a'))"
    training = start(script, grace_s=600.0)
    next_report(training)
    training.close()
    assert (tmp_path / "answers").read_text().split().count("True") <= 3
    assert not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(tmp_path)]


def test_a_program_that_does_not_end_is_ended_after_the_grace_period(start: Open, tmp_path: Path) -> None:
    training = start("report({'val/loss': 1.0}, step=1)\nimport time\nwhile True: time.sleep(60)", grace_s=0.2)
    next_report(training)
    training.advance(1)
    training.close()
    assert not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(tmp_path)]


RANKS = """
import os, subprocess, sys
if 'RANK' not in os.environ:
    ranks = [subprocess.Popen([sys.executable, __file__], env={**os.environ, 'RANK': str(rank)}) for rank in (2, 1, 0)]
    sys.exit(max(rank.wait() for rank in ranks))
answers = []
while not answers or not answers[-1]:
    answers.append(report({'val/loss': 1.0}, step=len(answers) + 1))
with open(f"answers-{os.environ['RANK']}", 'w') as file:
    file.write(str(answers))
"""


def test_every_rank_gets_the_answers_of_rank_0(start: Open, tmp_path: Path) -> None:
    training = start(RANKS)
    assert [next_report(training).epoch for _ in range(3)] == [1, 2, 3]
    training.close()
    answers = [(tmp_path / f"answers-{rank}").read_text() for rank in range(3)]
    assert answers == ["[False, False, True]"] * 3


def test_a_forked_process_has_a_connection_of_its_own(start: Open) -> None:
    script = (
        "import os\nreport({'val/a': 1}, step=1)\n"
        "child = os.fork()\nreport({'val/b' if child else 'val/c': 2}, step=2)\nif child: os.waitpid(child, 0)"
    )
    found = [dict(one.metrics) for one in everything(start(script))]
    assert sorted(name for metrics in found for name in metrics) == ["val/a", "val/b", "val/c"]


@pytest.fixture
def program() -> Iterator[ProgramReports]:
    one = ProgramReports({}, "step")
    yield one
    one.close()


def ask(program: ProgramReports, line: bytes) -> tuple[socket.socket, list[Any]]:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(program.path)
    connection.sendall(line)
    program.readings()  # accepts the connection
    return connection, program.readings()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"no json\n", "report: "),
        (b'{"metrics": {"a": "x"}, "step": 1}\n', "report: metrics.a: Input should be a valid number"),
        (b'{"metrics": {"a": 1}, "step": -1}\n', "report: step: Input should be greater than or equal to 0"),
        (b'{"loss": 1}\n', "report: loss: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_line_is_answered(program: ProgramReports, line: bytes, error: str) -> None:
    connection, readings = ask(program, line)
    with connection:
        assert readings == []
        assert json.loads(connection.recv(4096))["error"].startswith(error)


def test_a_line_without_end_is_not_kept(program: ProgramReports) -> None:
    connection, _ = ask(program, b"x" * 1000)
    assert program.connected
    with connection, suppress(BrokenPipeError):
        for _ in range(2000):
            connection.send(b"x" * 1000)
            program.readings()
    assert not program.connected


def test_the_path_of_the_socket_is_short_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 200)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    reports = ProgramReports({}, "step")
    folder = Path(reports.path).parent
    assert len(reports.path) < 100
    assert folder.stat().st_mode & 0o777 == 0o700
    reports.close()
    assert not folder.exists()


def test_the_socket_is_removed_with_the_program_if_the_worker_is_not_there(start: Open) -> None:
    training = start("report({'val/loss': 1.0}, step=1)")
    path = Path(training._program.path)
    assert path.is_socket()
    everything(training)
    assert not path.parent.exists()
