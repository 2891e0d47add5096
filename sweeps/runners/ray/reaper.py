"""Ends what Ray leaves behind when its driver ends suddenly.

Ray's servers and workers end with their driver, but two of its agents look for the servers for another minute. A small
child process remembers which processes Ray has started, and waits at a pipe that the driver holds open. When the driver
ends, however it ends, the pipe closes, and the child ends those of them that still live some seconds later.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import psutil

BUSY_S = 30.0  # so long Ray is starting: it is looked at often
LOOK_OFTEN_S, LOOK_S = 1.0, 5.0
GRACE_S = 5.0  # for those that end by themselves


class Reaper:
    """The child of this process; it knows what Ray starts under this process from now on."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-m", "sweeps.runners.ray.reaper", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the driver
        )

    def release(self) -> None:
        """Ray was told to end: whatever does not within some seconds is ended."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        threading.Thread(target=self._child.wait, name="reaper", daemon=True).start()  # nobody else collects it


def of_ray(driver: psutil.Process) -> set[psutil.Process]:
    """What Ray has started under a process, with all that these started."""
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for process in driver.children(recursive=True):  # parents before their children
            with contextlib.suppress(psutil.Error):
                if process.ppid() in found or any(f"{os.sep}ray{os.sep}" in word for word in process.cmdline()[:4]):
                    found[process.pid] = process
    return set(found.values())


def end(processes: Iterable[psutil.Process]) -> None:
    """End those that do not end by themselves; a process that has taken over the id of one is another one."""
    _, alive = psutil.wait_procs(list(processes), timeout=GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def main() -> None:
    """The child: look on while the driver lives, then end what it left."""
    driver, began = psutil.Process(int(sys.argv[1])), time.monotonic()
    seen: set[psutil.Process] = set()
    while True:
        seen |= of_ray(driver)
        pause = LOOK_OFTEN_S if time.monotonic() - began < BUSY_S else LOOK_S
        if select.select([sys.stdin], [], [], pause)[0]:  # nothing is ever written: the pipe has closed
            break
    end(seen)


if __name__ == "__main__":
    main()
