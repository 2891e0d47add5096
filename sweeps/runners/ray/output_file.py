"""The output of a worker process, kept in a file of its node that outlives the process.

Everything that writes to the descriptors of standard output and error is in the file: Python, C code, and the processes
that the training starts. The file is on the disk of the node, so that a driver on the same machine can read what a
worker printed just before it died.
"""

import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from sweeps.output_tail import OutputTail

LARGEST = 4 * 2**20  # size in bytes above which the file is replaced by its last lines
LOOK_EVERY_S = 1.0
_BLOCK = 2**20


class OutputFile:
    """Sends standard output and error of this process to one file after another, one for each run.

    The output also goes where it went before, to the log of Ray.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._file = -1
        self._read = 0  # bytes of the file that are in the tail
        self._tail = OutputTail()
        self._log = os.dup(1)
        threading.Thread(target=self._watch, name="output", daemon=True).start()

    def begin(self, path: Path) -> None:
        """Start the output of a run. Without a disk to write to, its output is not kept.

        Args:
            path: Path of the new file.
        """
        self.end()
        with self._lock, suppress(OSError):
            path.unlink(missing_ok=True)  # of an earlier actor of this trial
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            self._path, self._read, self._tail = path, 0, OutputTail()
            _flush()
            os.dup2(self._file, 1)
            os.dup2(self._file, 2)

    def news(self, at_once: bool) -> str | None:
        """Return the last lines of the run if they are due, as `OutputTail.news`."""
        _flush()
        with self._lock:
            self._take()
            return self._tail.news(at_once)

    def end(self, keep: bool = False) -> str | None:
        """End the output of the run and return its last lines, if `news` has not returned them.

        Args:
            keep: Whether to leave the file for the driver, which reads it if it is on this machine.
        """
        _flush()
        with self._lock:
            if self._path is None:
                return None
            self._take()
            os.dup2(self._log, 1)
            os.dup2(self._log, 2)
            with suppress(OSError):
                if not keep and os.path.samestat(self._path.stat(), os.fstat(self._file)):
                    self._path.unlink()
            os.close(self._file)
            self._path = None
            return self._tail.news(at_once=True)

    def _watch(self) -> None:
        while True:
            threading.Event().wait(LOOK_EVERY_S)
            with self._lock:
                self._take()

    def _take(self) -> None:
        """Read what is new in the file, and keep the file small."""
        if self._path is None:
            return
        with suppress(OSError):
            while block := os.pread(self._file, _BLOCK, self._read):
                self._read += len(block)
                self._tail.write(block)
                os.write(self._log, block)
            if self._read > LARGEST:
                os.ftruncate(self._file, 0)
                os.write(self._file, self._tail.text().encode() + b"\n")
                self._read = os.fstat(self._file).st_size


def output_path(name: str) -> Path:
    """Return the file of this name on this node."""
    return Path(tempfile.gettempdir()) / name


def remove_outputs(prefix: str) -> None:
    """Remove the files whose names start with this prefix and a hyphen, which dead workers have left."""
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}-*"):
        with suppress(OSError):
            path.unlink()


def read_output(path: Path) -> str | None:
    """Return the last lines in the file of a worker, which may be dead; None if there are none on this machine."""
    tail = OutputTail()
    with suppress(OSError), path.open("rb") as file:
        while block := file.read(_BLOCK):
            tail.write(block)
    return tail.text() or None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # the code of a run may have closed or replaced it
            stream.flush()
