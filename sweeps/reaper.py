"""Ends what Ray leaves behind when its driver is killed.

Ray's servers and workers end with their driver, but two of its agents look for them for another minute. A small child
process waits at a pipe that the driver holds open; when the driver dies, however it dies, the pipe closes, and the
child ends whatever still carries the driver's mark in its environment.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time

import psutil

MARK = "SWEEPS_DRIVER"
GRACE_S = 3.0  # for those that end by themselves
ROUNDS = 5


class Reaper:
    """The child of this process. What is started after it was made carries the mark."""

    def __init__(self) -> None:
        mark = os.environ[MARK] = secrets.token_hex(8)
        self._child = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-m", "sweeps.reaper", mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the driver
        )

    def dismiss(self) -> None:
        """Ray was shut down as it should be: there is nothing to end."""
        self._child.kill()
        self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()


def marked(mark: str) -> list[psutil.Process]:
    """The other processes that were started with this mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def main() -> None:
    """The child: wait for the end of the pipe, then end those that carry the mark of the argument."""
    sys.stdin.buffer.read()
    time.sleep(GRACE_S)
    for _ in range(ROUNDS):
        left = marked(sys.argv[1])
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(1.0)


if __name__ == "__main__":
    main()
