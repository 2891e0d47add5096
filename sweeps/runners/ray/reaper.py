"""End the processes that Ray leaves behind when its driver is killed.

Ray's servers and workers end with their driver, but two of its agents look for the servers for another minute. A small
child process keeps a list of the processes that Ray has started, and waits on a pipe that the driver holds open. When
the driver ends in any way, the pipe closes, and the child kills those that are still alive some seconds later.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import psutil

from trainers.command.process import SUPERVISOR

BUSY_S = 30.0  # Ray starts processes during this time, so look often
LOOK_OFTEN_S, LOOK_S = 1.0, 5.0
GRACE_S = 5.0  # for processes that end by themselves


class Reaper:
    """The child of this process that watches what Ray starts under this process."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-P", "-m", "sweeps.runners.ray.reaper", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the driver
        )

    def release(self) -> None:
        """Kill what is still alive some seconds after Ray was told to end."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        threading.Thread(target=self._child.wait, name="reaper", daemon=True).start()  # collects the exit code


def of_ray(driver: psutil.Process) -> set[psutil.Process]:
    """Return the processes that Ray has started under a process, and their children.

    Those of a command are not among them (see `supervises`).
    """
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for process in driver.children(recursive=True):  # parents before their children
            with contextlib.suppress(psutil.Error):
                path = any(f"{os.sep}ray{os.sep}" in word for word in process.cmdline()[:4])
                if (path or process.ppid() in found) and not supervises(process):
                    found[process.pid] = process
    return set(found.values())


def supervises(process: psutil.Process) -> bool:
    """Say whether a process is the supervisor of a command: it outlives its worker for the grace period, then ends."""
    return str(SUPERVISOR) in process.cmdline()


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill the processes that do not end by themselves; psutil never kills another process with a reused id."""
    _, alive = psutil.wait_procs(list(processes), timeout=GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            if not supervises(process):  # one that was seen just after its fork still had the words of its parent
                process.kill()


def main() -> None:
    """Run the child: watch while the driver lives, then kill what it left."""
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
