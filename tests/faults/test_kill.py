"""Real processes that are killed or interrupted; the checks are those of the fault trials."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # scripts, not a package

from command import Command
from kills import Trial, recorded
from retrain import retrained
from snapshot import changes, snapshot
from verdicts import Rule, verdicts

SPACE = """
kind: sweep
extends: {extends}
runs: {runs}
recipe:
  optimizer: {{lr: 1.0e-5}}  # a weak baseline, so that other runs are promoted and can be checked
  budget: {{epochs: {epochs}, batch_size: {batch_size}}}
checkpoint_every_s: 0.3
"""


def sweep(folder: Path, seed: int = 0, local: bool = False, **space: object) -> Trial:
    """Return a sweep that is not yet started."""
    values = {"extends": "finetune", "runs": 8, "epochs": 27, "batch_size": 8} | space
    (folder / "killed.yaml").write_text(SPACE.format(**values))
    url = f"sqlite:///{folder / 'sweeps.db'}"
    arguments = ["run", "killed.yaml", "--storage", url, *(["--local"] if local else [])]
    return Trial(Command(arguments, folder, folder / "log.txt"), url, random.Random(seed), late_s=0.8, start_up_s=3.0)


@contextmanager
def ended(trial: Trial) -> Iterator[Trial]:
    """Kill all processes of a trial at the end of a test."""
    try:
        yield trial
    finally:
        trial.command.end()


def breaches(trial: Trial, runs: int = 8, epochs: int = 27) -> list[str]:
    found = verdicts(trial.url, "killed", Rule.asha(runs, epochs))
    return trial.breaches + [str(verdict) for verdict in found if verdict.breaches]


def one(url: str, query: str) -> object:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(query).fetchone()[0]


# --- in process -------------------------------------------------------------------------------------------------


def test_a_driver_killed_again_and_again(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, local=True, runs=6, epochs=9)) as trial:
        kills = sum(trial.kill_driver() for _ in range(3))
        assert trial.finish() == 0, (tmp_path / "log.txt").read_text()
        assert kills == 3
        assert breaches(trial, 6, 9) == []
        assert retrained(trial.url, "killed", 1).breaches == []
        assert trial.left_behind() == []
        attempts = one(trial.url, "SELECT sum(attempts) FROM run")
        before = snapshot(trial.url)
        assert trial.finish() == 0
        assert one(trial.url, "SELECT sum(attempts) FROM run") == attempts
        assert changes(before, snapshot(trial.url)) == []
    _the_checker_finds(trial, tmp_path)


# What a bug could do to a finished sweep, and words of the invariant that it breaks.
BREACHES = {
    "UPDATE run SET state = 'RUNNING' WHERE number = 3": "RUNNING",
    "UPDATE trials SET state = 'RUNNING' WHERE number = 3": "RUNNING",
    "UPDATE trials SET state = 'COMPLETE' WHERE state = 'PRUNED'": "study",
    "DELETE FROM trial_intermediate_values WHERE step = 1": "study",
    "DELETE FROM run WHERE number = 4": "finished runs",
    "UPDATE run SET state = 'STOPPED' WHERE number = 0": "baseline",
    "DELETE FROM epoch_metric WHERE epoch = 1 AND run_id = (SELECT id FROM run WHERE number = 2)": "all its epochs",
    "UPDATE epoch_metric SET value = 9 WHERE name = 'val/accuracy' AND epoch = (SELECT epoch FROM run WHERE "
    "state = 'STOPPED') AND run_id = (SELECT id FROM run WHERE state = 'STOPPED')": "below the cutoff",
    "UPDATE epoch_metric SET value = -9 WHERE name = 'val/accuracy' AND epoch = 1 AND run_id = (SELECT id FROM run "
    "WHERE number > 0 AND epoch > 1 ORDER BY number DESC)": "promoted",
    "UPDATE epoch_metric SET seq = 0": "duplicates",
    "CREATE TABLE copy AS SELECT * FROM epoch_metric UNION ALL SELECT * FROM epoch_metric; DROP TABLE epoch_metric; "
    "ALTER TABLE copy RENAME TO epoch_metric": "duplicates",
    "DELETE FROM prediction": None,  # a user's own loop has none: not a breach, but a change, see below
    "UPDATE run SET checkpoint = NULL": "weights",
    "UPDATE sweep SET lease_owner = 'somebody:1:1:1'": "lease",
}


def _the_checker_finds(trial: Trial, folder: Path) -> None:
    before = snapshot(trial.url)
    for number, (breach, words) in enumerate(BREACHES.items()):
        copy = folder / f"copy{number}.db"
        with (
            closing(sqlite3.connect(trial.url.removeprefix("sqlite:///"))) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.executescript(breach)
            target.commit()
        url = f"sqlite:///{copy}"
        found = [str(verdict) for verdict in verdicts(url, "killed", Rule.asha(6, 9)) if verdict.breaches]
        assert words is None or any(words in line for line in found), (breach, found)
        if "lease" not in breach and "copy" not in breach and "checkpoint" not in breach:
            assert changes(before, snapshot(url)), breach
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE epoch_metric SET value = value * (1 + 1e-15) WHERE name = 'train/loss'")
        connection.commit()
    assert retrained(url, "killed", 1).breaches


def test_what_may_change_and_what_may_not() -> None:
    def run(**cells: object) -> dict:
        row = {"state": "RUNNING", "epoch": 3, "seconds": 1.0, "attempts": 1, "value": 0.5, "seed": 7}
        return {"run": {(1,): row | cells}, "epoch_metric": {(1, 1, "val/accuracy"): {"value": 0.5, "seq": 0}}}

    assert changes(run(), run(state="COMPLETE", epoch=4, seconds=2.0, value=0.6)) == []
    assert changes(run(), run(state="INTERRUPTED", attempts=2)) == []
    assert changes(run(), run(epoch=2)) == ["run (1,): epoch fell from 3 to 2"]
    assert changes(run(), run(seed=8)) == ["run (1,): seed was 7 and is 8"]
    assert changes(run(state="STOPPED"), run(state="RUNNING")) == ["run (1,): state was 'STOPPED' and is 'RUNNING'"]
    assert changes(run(state="STOPPED"), run(state="STOPPED", attempts=2)) != []
    assert changes(run(), {"run": run()["run"]}) == ["epoch_metric (1, 1, 'val/accuracy'): disappeared"]
    assert changes({}, run()) == []
    sweep = {(1,): {"id": 1, "spec_yaml": "old", "lease_owner": None}}
    other = {"sweep": {(1,): {"id": 1, "spec_yaml": "new", "lease_owner": "somebody"}}}
    assert changes({"sweep": sweep}, other) == []  # the sweep has no runs yet
    assert changes({"sweep": sweep, "run": {(1,): {"sweep_id": 1}}}, other | {"run": {(1,): {"sweep_id": 1}}}) == [
        "sweep (1,): spec_yaml was 'old' and is 'new'"
    ]
    assert changes({"sweep": sweep}, {}) == ["sweep (1,): disappeared"]


# --- with Ray ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_driver_of_ray_killed_three_times(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, seed=3, runs=16, epochs=27, batch_size=2)) as trial:
        assert sum(trial.kill_driver() for _ in range(3)) == 3
        assert trial.finish() == 0, (tmp_path / "log.txt").read_text()
        assert breaches(trial, 16, 27) == []
        assert retrained(trial.url, "killed", 1).breaches == []
        assert trial.left_behind() == []


@pytest.mark.slow
def test_a_killed_worker_costs_its_run_one_attempt(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, batch_size=2)) as trial:
        driver = trial.command.start()
        assert trial.kill_worker(driver)
        assert trial.finish(driver) == 0, (tmp_path / "log.txt").read_text()
        assert breaches(trial, 8, 27) == []
        assert one(trial.url, "SELECT max(attempts) FROM run") == 2
        assert one(trial.url, "SELECT sum(attempts) FROM run") == 9
        assert retrained(trial.url, "killed", 1).breaches == []
        assert trial.left_behind() == []


class Terminal:
    """A sweep in its own terminal, so that Ctrl-C reaches the same processes as for a user."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            trial.command.words,
            cwd=trial.command.folder,
            env={**trial.command.surroundings, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  nothing else can do this
        )
        os.close(slave)
        self._read: list[bytes] = []
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        while True:
            try:
                self._read.append(os.read(self._master, 65536))
            except OSError:  # all processes have closed the other side
                return

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def wait_for_epochs(self) -> None:
        before = recorded(self._trial.url)
        while recorded(self._trial.url) <= before + 2:
            assert self.process.poll() is None, self.text()
            self._trial.command.processes()
            time.sleep(0.05)

    def wait(self, timeout: float) -> int:
        code = self.process.wait(timeout)
        self._trial.look()
        self._reader.join(5)
        return code

    def text(self) -> str:
        return b"".join(self._read).decode(errors="replace")


def assert_nothing_runs(trial: Trial) -> None:
    assert trial.breaches == []
    assert one(trial.url, "SELECT count(*) FROM run WHERE state = 'RUNNING'") == 0
    assert one(trial.url, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    assert one(trial.url, "SELECT lease_owner FROM sweep") is None
    assert trial.left_behind() == []


@pytest.mark.slow
def test_ctrl_c_drains_and_the_same_command_continues(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, batch_size=2)) as trial:
        terminal = Terminal(trial)
        terminal.wait_for_epochs()
        terminal.press_ctrl_c()
        assert terminal.wait(30) == 130, terminal.text()
        assert "stopping: waiting for the steps that run now" in terminal.text()
        assert "the same command continues" in terminal.text()
        assert "Traceback" not in terminal.text()
        assert_nothing_runs(trial)
        before = recorded(trial.url)
        assert before > 0
        assert Terminal(trial).wait(90) == 0
        assert breaches(trial, 8, 27) == []


@pytest.mark.slow
def test_ctrl_c_twice_does_not_wait(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, batch_size=2)) as trial:
        terminal = Terminal(trial)
        terminal.wait_for_epochs()
        terminal.press_ctrl_c()
        time.sleep(0.1)
        terminal.press_ctrl_c()
        began = time.monotonic()
        assert terminal.wait(30) == 130, terminal.text()
        assert time.monotonic() - began < 15
        assert "Traceback" not in terminal.text()
        assert_nothing_runs(trial)


@pytest.mark.slow
def test_sigterm_drains(tmp_path: Path) -> None:
    with ended(sweep(tmp_path, batch_size=2)) as trial:
        driver = trial.command.start()
        while recorded(trial.url) < 3:
            assert driver.poll() is None
            trial.command.processes()
            time.sleep(0.05)
        driver.send_signal(signal.SIGTERM)
        assert trial.finish(driver, 30) == 130, (tmp_path / "log.txt").read_text()
        assert "Traceback" not in (tmp_path / "log.txt").read_text()
        assert_nothing_runs(trial)
