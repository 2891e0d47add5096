from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from trainers.command.process import CommandProcess

Start = Callable[..., CommandProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[CommandProcess] = []

    def begin(script: str, grace_s: float = 30.0) -> CommandProcess:
        started.append(CommandProcess(["sh", "-c", script], dict(os.environ), str(tmp_path), grace_s))
        return started[-1]

    yield begin
    for one in started:
        list(one.stop())


def everything(process: CommandProcess) -> bytes:
    pieces = []
    while not process.ended:
        pieces.append(process.output(1.0))
    return b"".join(pieces)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(folder: Path) -> list[psutil.Process]:
    """Return the running processes whose current folder this is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("script", "output", "code"),
    [
        ("echo a; echo b >&2", b"a\nb\n", 0),
        ("printf a; exit 3", b"a", 3),
        ("kill -SEGV $$", b"", -signal.SIGSEGV),
        ("kill -KILL $$", b"", -signal.SIGKILL),
        ("cat", b"", 0),  # it has no input
    ],
)
def test_output_and_exit_code(start: Start, script: str, output: bytes, code: int) -> None:
    process = start(script)
    assert everything(process) == output
    assert process.code() == code


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    process = CommandProcess(["no-such-program"], dict(os.environ), str(tmp_path), 1.0)
    assert everything(process) == b"no-such-program: No such file or directory\n"
    assert process.code() == 127
    assert list(process.stop()) == []


def test_a_long_output_arrives_whole(start: Start) -> None:
    assert len(everything(start("yes 0123456789 | head -c 5000000"))) == 5_000_000


def test_a_program_that_is_asked_to_stop_may_save(start: Start, tmp_path: Path) -> None:
    process = start("trap 'echo saved > out; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(lambda: b"ready" in process.output(1.0))
    list(process.stop())
    assert (tmp_path / "out").read_text() == "saved\n"
    assert process.code() == 5


def test_a_program_that_does_not_stop_is_killed_with_its_children(start: Start, tmp_path: Path) -> None:
    process = start(
        "trap '' TERM; (trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 999' &); echo ready; sleep 999", 0.2
    )
    wait_for(lambda: b"ready" in process.output(1.0))
    list(process.stop())
    assert alive(tmp_path) == []


def test_what_a_program_leaves_behind_is_ended(start: Start, tmp_path: Path) -> None:
    process = start("setsid sleep 999 & echo done")
    assert everything(process) == b"done\n"
    assert process.code() == 0
    assert alive(tmp_path) == []


def test_a_program_that_fills_the_pipe_can_be_stopped(start: Start, tmp_path: Path) -> None:
    process = start("yes")
    process.output(1.0)
    list(process.stop())
    assert alive(tmp_path) == []


@pytest.mark.parametrize("prefix", ["", "setsid ", "setsid setsid "])
def test_nothing_is_left_when_the_supervisor_is_killed(start: Start, tmp_path: Path, prefix: str) -> None:
    process = start(f"({prefix}sh -c 'trap \"\" TERM HUP; sleep 999; :' &); sleep 999; :")
    wait_for(lambda: sum(one.name() == "sleep" for one in alive(tmp_path)) == 2)
    [supervisor] = [one for one in alive(tmp_path) if "supervisor.py" in " ".join(one.cmdline())]
    supervisor.kill()
    assert everything(process) == b""
    assert process.code() == -signal.SIGKILL
    wait_for(lambda: alive(tmp_path) == [])
