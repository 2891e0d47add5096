"""The command under trial and the processes that it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOOPS = HERE / "loops"  # training loops and tasks as users may write them, valid and broken
SWEEPS = (sys.executable, "-m", "sweeps.cli.app")  # of this checkout, even if another version is installed
MARK = "SWEEPS_FAULT_TRIAL"  # an environment variable that every process of the sweep inherits
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
PATIENCE_S = 30  # after this time, no process of a command that ended or was killed may be alive


def search_path() -> str:
    """Return the import path of the command and its processes: this checkout and the users' loops."""
    return os.pathsep.join([str(ROOT), str(LOOPS), *filter(None, [os.environ.get("PYTHONPATH")])])


@dataclass
class Command:
    """A command that is repeated, and the processes that it leaves behind.

    Attributes:
        arguments: Arguments of `sweeps`.
        folder: Working directory.
        log: File that gets the output.
        environment: Environment variables, added to those of this process.
        altered: Changes that loops/altered.py makes before the command starts; if empty, it is not used.
        mark: Value of the environment variable `MARK` in all processes of the command.
        seen: Processes that had the mark, and their children.
    """

    arguments: list[str]
    folder: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    altered: Mapping[str, object] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    seen: set[psutil.Process] = field(default_factory=set)

    @property
    def words(self) -> list[str]:
        """Return the full command line."""
        if self.altered:
            return [sys.executable, "-m", "altered", json.dumps(self.altered), *self.arguments]
        return [*SWEEPS, *self.arguments]

    @property
    def surroundings(self) -> dict[str, str]:
        """Return the environment of the command."""
        # With the fault handler, SIGABRT prints where a command hangs.
        ours = {"PYTHONPATH": search_path(), "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
        return {**os.environ, **ours, **self.environment, MARK: self.mark}

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command in its own process group."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.words,
                cwd=self.folder,
                env=self.surroundings,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return the output of all starts of this command."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of all starts that were seen with the mark, or as children of such processes."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    self.seen.add(process)
                    # A Ray worker sets a process title, which overwrites its readable environment.
                    self.seen.update(process.children(recursive=True))
        return [process for process in self.seen if lives(process)]

    def workers(self) -> list[psutil.Process]:
        """Return the processes of Ray actors that train."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                title = process.cmdline()[:1]  # ray::ResourceTrainable.train while it trains
                if title and title[0].startswith("ray::") and "Trainable" in title[0]:
                    found.append(process)
        return found

    def left_behind(self, patience: float = PATIENCE_S) -> list[str]:
        """Return the processes that are still alive after this time."""
        deadline = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid} {' '.join(' '.join(process.cmdline()).split())[:100]}")
        return found

    def end(self) -> None:
        """Kill all processes of the command."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


def lives(process: psutil.Process) -> bool:
    """Return whether a process is alive and not a zombie."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
