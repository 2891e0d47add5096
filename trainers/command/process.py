"""Start a command, read what it prints, and stop it with everything that it started."""

import os
import select
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import psutil

SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
_MARK = "SWEEPS_START"  # a variable in the environment of all processes of a start, with a value of its own
_CHUNK = 1 << 16
_MOST_CHUNKS = 16  # per call, so that a program that prints without end does not hold the worker


class CommandProcess:
    """A running command. Its standard error is part of its output, and it has no input.

    Args:
        command: Program and arguments.
        environment: Environment variables.
        folder: Folder in which it runs.
        grace_s: Seconds that it has to end after SIGTERM.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str, grace_s: float) -> None:
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(  # noqa: S603  the user's own command
            [sys.executable, "-I", str(SUPERVISOR), str(grace_s), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**environment, _MARK: self._mark},
            start_new_session=True,  # Ctrl-C is for the driver, which then stops the command
        )
        if self._process.stdout is None or self._process.stdin is None:
            raise RuntimeError("the command has no pipes")
        self._output, self._input = self._process.stdout, self._process.stdin
        self._closed = False

    def output(self, timeout_s: float, others: Sequence[socket.socket] = ()) -> bytes:
        """Return what was printed since the last call; wait at most this long for it, or until another is readable."""
        chunks: list[bytes] = []
        sources: list[IO[bytes] | socket.socket] = [self._output, *others]
        while not self._closed and len(chunks) < _MOST_CHUNKS:
            ended = self._process.poll() is not None
            if self._output not in select.select(sources, [], [], 0.0 if chunks else timeout_s)[0]:
                if ended:  # the supervisor was killed, and what it leaves behind holds the pipe open
                    self._kill_rest()
                    self._closed = True
                break
            chunks.append(os.read(self._output.fileno(), _CHUNK))
            self._closed = not chunks[-1]
        return b"".join(chunks)

    @property
    def ended(self) -> bool:
        """Whether the command has ended and all of its output was returned."""
        return self._closed

    def code(self) -> int:
        """Wait for the end of the command and return its exit code, or minus the number of the signal that ended it."""
        code = self._process.wait()
        if code == -signal.SIGKILL:  # of the supervisor, perhaps, which otherwise leaves nothing
            self._kill_rest()
        return code

    def stop(self) -> Iterator[bytes]:
        """End the command and everything that it started; yield what it prints meanwhile.

        Nothing is left when the iterator is exhausted.
        """
        with suppress(BrokenPipeError):
            self._input.close()
        while not self._closed:  # a program that is blocked by a full pipe cannot end
            yield self.output(1.0)
        self.code()
        self._output.close()

    def _kill_rest(self) -> None:
        """Kill all processes of the command, also those in sessions of their own, which have other parents by now."""
        while found := [one for one in psutil.process_iter() if self._has_mark(one)]:
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=1.0)

    def _has_mark(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):  # of another user, or gone
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self._mark
        return False
