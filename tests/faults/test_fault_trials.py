"""Tests of the fault trials: each check is given something broken, and must find it."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # scripts, not a package

import command as command_module
import damage
import databases
import disks
import record
import run
import stage as stage_module
from command import MARK, Command
from kills import OverError, Trial
from stage import Fault, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path, random.Random(0), 1)
    yield one
    one.close()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fault]:
    """Replace the registered faults by those that a test adds."""
    known: dict[str, Fault] = {}
    for module in (run, record, stage_module):
        monkeypatch.setattr(module, "FAULTS", known)
    return known


def lost(stage: Stage) -> list[str]:
    return [str(verdict) for verdict in stage.verdicts if verdict.breaches]


def says(stage: Stage, code: str) -> Trial:
    """Return a trial whose command is Python code instead of `sweeps`."""
    trial = stage.trial(["-c", code], f"sqlite:///{stage.folder / 'none.db'}")
    trial.command.__class__ = type(
        "Other", (Command,), {"words": property(lambda self: [sys.executable, *self.arguments])}
    )
    return trial


def test_a_trial_that_loses_something_is_reported_and_exits_with_1(
    faults: dict[str, Fault], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(stage: Stage) -> None:
        stage.injected = 2
        stage.check("a | rule", ["it does not hold in /tmp/x-1/log.txt"])

    def good(stage: Stage) -> None:
        stage.injected = 1
        stage.same("a figure", 3, 3)

    faults["good"] = Fault("good", "not at all", 1, 1, good)
    faults["bad"] = Fault("bad", "in a bad way", 2, 1, bad)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{record.BEGIN}\nold\n{record.END}\nafter\n")
    results = tmp_path / "deep" / "results.jsonl"
    words = ["--results", str(results), "--table", str(page)]
    assert run.main(["good", *words]) == 0
    assert run.main([*words, "--seed", "3"]) == 1
    assert "LOST    a | rule: it does not hold in /tmp/x-1/log.txt" in capsys.readouterr().out
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["fault"], bool(line["lost"])) for line in lines] == [("good", False), ("good", False), ("bad", True)]
    assert "a figure (3)" in lines[0]["checked"]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| `good` | not at all | 1 | nothing | `python tests/faults/run.py good --seed 3` |" in text
    assert "| `bad` | in a bad way | 2 | **a \\| rule: it does not hold in log.txt** |" in text
    assert "\nold\n" not in text
    assert lines[0]["machine"]["commit"].split()[0] in text
    capsys.readouterr()
    assert run.main(["--table-only", *words]) == 0
    assert page.read_text() == text
    with pytest.raises(SystemExit):
        run.main(["ugly"])


def test_an_error_and_too_few_faults_are_breaches(stage: Stage) -> None:
    def breaks(stage: Stage) -> None:
        raise ValueError("of the trial itself")

    found = stage_module.played(Fault("x", "y", 1, 1, breaks), stage, "again")
    assert "the trial ended without an error: ValueError: of the trial itself" in found.lost
    assert any("1 faults were injected" in line for line in found.lost)


def test_processes_that_are_left_are_found(stage: Stage) -> None:
    trial = says(stage, "import subprocess; subprocess.Popen(['sleep', '60'])")
    trial.command.start().wait(20)
    stage.no_process_left(0.3)
    assert "sleep 60" in lost(stage)[0]
    stage.close()
    stage.verdicts.clear()
    stage.no_process_left(5)
    assert lost(stage) == []


def test_runs_that_are_left_running_are_found(stage: Stage) -> None:
    path = stage.folder / "small.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE run (state TEXT); INSERT INTO run VALUES ('RUNNING'), ('COMPLETE');"
            "CREATE TABLE sweep (lease_owner TEXT); INSERT INTO sweep VALUES ('somebody');"
        )
    stage.nothing_runs(stage.trial([], f"sqlite:///{path}"), "the end")
    assert lost(stage) == [
        "BREACH  0 runs are RUNNING after the end: 1",
        "BREACH  the lease is released after the end: held by somebody",
    ]


def test_codes_texts_and_tracebacks_are_read(stage: Stage) -> None:
    trial = says(stage, "print('continued'); raise SystemExit(3)")
    code = trial.finish()
    stage.code(code, 3, trial)
    stage.says(trial, "continued")
    stage.same("a number", code, 3)
    assert lost(stage) == []
    stage.code(code, 0, trial)
    stage.says(trial, "never said")
    stage.same("a number", code, 4)
    assert len(lost(stage)) == 3
    trial = says(stage, "raise ValueError('bad')")
    trial.finish()
    stage.says(trial)
    assert "no traceback is shown" in lost(stage)[-1]
    with pytest.raises(OverError, match="ended with 1 after 0 epochs"):
        trial.under_way()


def test_a_command_is_of_this_checkout(tmp_path: Path) -> None:
    command = Command([], tmp_path, tmp_path / "log")
    code = "import altered, sweeps, fault_loops; print(sweeps.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=command.surroundings, capture_output=True, text=True, cwd="/"
    )
    assert Path(done.stdout.strip()).parents[1] == command_module.ROOT, done.stderr
    assert command.surroundings[MARK] == command.mark


def test_what_is_altered_is_altered(tmp_path: Path) -> None:
    changes = {"set": {"sweeps.exit_codes.USAGE": 7}, "step_h": -1, "after_s": 0.0}
    command = Command(["run", "nowhere.yaml"], tmp_path, tmp_path / "log", altered=changes)
    assert command.start().wait(60) == 7, command.said()


def test_a_full_disk_is_full(stage: Stage) -> None:
    if os.geteuid() != 0:
        with pytest.raises(RuntimeError, match="run it as root"):
            disks.SmallDisk(stage, stage.folder / "disk", 1)
        return
    disk = disks.SmallDisk(stage, stage.folder / "disk", 1)
    (stage.folder / "disk" / "room").write_bytes(bytes(5000))
    disk.fill_for(0.1)
    with pytest.raises(OSError, match="No space left"):
        (stage.folder / "disk" / "more").write_bytes(bytes(5000))
    disk.free()
    (stage.folder / "disk" / "more").write_bytes(bytes(5000))


def test_a_dashboard_that_does_not_answer_is_noticed() -> None:
    reader = databases.Reader("http://127.0.0.1:9/")
    reader.ask(2)
    assert (len(reader.answers), len(reader.errors)) == (0, 1)


@pytest.mark.parametrize("what", damage.DAMAGES)
def test_a_damage_changes_the_file(what: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    damage.DAMAGES[what](path)
    assert not path.exists() or path.read_bytes() != bytes(range(100))
