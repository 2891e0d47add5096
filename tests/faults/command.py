"""The command under trial, the processes that it leaves, and what a space file holds for it."""

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
LOOPS = HERE / "loops"  # what users might write, good and bad
SWEEPS = (sys.executable, "-m", "sweeps.cli.app")  # of this checkout, whatever else is installed
MARK = "SWEEPS_FAULT_TRIAL"  # an environment variable that every process of the sweep inherits
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
PATIENCE_S = 30  # until every process of a command that ended, or was killed, has to be gone


def search_path() -> str:
    """Where the command, and the processes that it starts, look for this checkout and for the users' loops."""
    return os.pathsep.join([str(ROOT), str(LOOPS), *filter(None, [os.environ.get("PYTHONPATH")])])


@dataclass
class Command:
    """The command that is repeated, and the processes that it leaves.

    Attributes:
        arguments: After `sweeps`.
        folder: Where it is started.
        log: Takes what it prints.
        environment: On top of this process's own.
        altered: What loops/altered.py changes in the process before the command begins; nothing: it is not used.
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
        """All of it, as a process is started with it."""
        if self.altered:
            return [sys.executable, "-m", "altered", json.dumps(self.altered), *self.arguments]
        return [*SWEEPS, *self.arguments]

    @property
    def surroundings(self) -> dict[str, str]:
        """Its environment."""
        # With the fault handler, a SIGABRT makes a command that hangs say where.
        ours = {"PYTHONPATH": search_path(), "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
        return {**os.environ, **ours, **self.environment, MARK: self.mark}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own."""
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
        """What all its lives have printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Every living process that one of the lives started, as far as it was seen with its mark or its parent."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    self.seen.add(process)
                    # A Ray worker gives itself a title, which overwrites the environment that others can read.
                    self.seen.update(process.children(recursive=True))
        return [process for process in self.seen if lives(process)]

    def workers(self) -> list[psutil.Process]:
        """The processes of Ray actors that train."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                title = process.cmdline()[:1]  # ray::ResourceTrainable.train while it trains
                if title and title[0].startswith("ray::") and "Trainable" in title[0]:
                    found.append(process)
        return found

    def left_behind(self, patience: float = PATIENCE_S) -> list[str]:
        """Processes that live on so many seconds later."""
        deadline = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid} {' '.join(' '.join(process.cmdline()).split())[:100]}")
        return found

    def end(self) -> None:
        """Leave nothing of it."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


def lives(process: psutil.Process) -> bool:
    """Whether it is still there, and no zombie."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
