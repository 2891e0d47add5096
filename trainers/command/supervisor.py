"""Run a command and end all of its processes with it. This file is run as a process of its own.

    python -I supervisor.py GRACE_S PROGRAM ARGUMENT ...

The standard input is a pipe that the worker holds open. When it closes, because the run is stopped or because the
worker has died, every process of the command gets SIGTERM, and SIGKILL when the grace period is over. Processes that
the command leaves behind are ended, too, and its socket for reports is removed. The supervisor then ends as the command
did: with its exit code or signal.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time

import psutil

_LOOK_S = 0.02
_LEFT_BEHIND_GRACE_S = 2.0  # for processes that outlive the program that was started
_PDEATHSIG, _CHILD_SUBREAPER = 1, 36  # options of prctl(2)
_NOT_STARTED = 127  # as in a shell


def main() -> None:
    """Run the command that the arguments name."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # they are for the command, which shares the group
        signal.signal(number, lambda *_: None)
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if prctl is not None:
        prctl(_CHILD_SUBREAPER, 1)  # orphans of the command become children of this process
    try:
        child = subprocess.Popen(  # noqa: S603  the user's own command
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: prctl and prctl(_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  there are no threads
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{command[0]}: {getattr(error, 'strerror', None) or error}\n")
        sys.exit(_NOT_STARTED)
    stopped = _wait(child)
    _end(child, grace_s if stopped else _LEFT_BEHIND_GRACE_S)
    _remove_socket()
    _exit_like(child.wait())


def _wait(child: subprocess.Popen[bytes]) -> bool:
    """Return when the command has ended or the pipe has closed; whether it is the latter."""
    while child.poll() is None:
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:
            return True
    return False


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask every process of the command to end, and kill those that do not within the grace period."""
    _signal_all(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    while _alive(child):
        _signal_all(signal.SIGKILL)
        time.sleep(_LOOK_S)


def _alive(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    with contextlib.suppress(ChildProcessError):  # collects adopted children, but leaves the exit code of the command
        while child.returncode is not None and os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return child.returncode is None or bool(_descendants())


def _signal_all(number: signal.Signals) -> None:
    for process in _descendants():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _descendants() -> list[psutil.Process]:
    """Return the running processes under this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _remove_socket() -> None:
    """Remove the socket for reports and its folder, which a worker that was killed leaves behind."""
    if path := os.environ.get("SWEEPS_REPORT"):
        with contextlib.suppress(OSError):
            os.remove(path)
            os.rmdir(os.path.dirname(path))


def _exit_like(code: int) -> None:
    """End this process as the command ended."""
    sys.stdout.flush()
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has dumped its own
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
