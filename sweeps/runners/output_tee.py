"""Keeps what Python code prints in this process, and prints it as before."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TextIO

from sweeps.output_tail import OutputTail


class OutputTee:
    """Standard output and error that also keep what a run prints; a context manager that replaces both.

    It keeps what the code prints through `sys.stdout` and `sys.stderr`, not what C code or other processes write. The
    threads that existed before, such as the live view, are not part of the run.
    """

    def __init__(self) -> None:
        self._tail: OutputTail | None = None
        self._others: set[int | None] = set()

    def __enter__(self) -> Self:
        self._others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        self._before = sys.stdout, sys.stderr
        self._ours: tuple[Any, Any] = _Stream(sys.stdout, self), _Stream(sys.stderr, self)
        sys.stdout, sys.stderr = self._ours
        return self

    def __exit__(self, *exception: object) -> None:
        for name, before, ours in zip(("stdout", "stderr"), self._before, self._ours, strict=True):
            if getattr(sys, name) is ours:  # otherwise the code of a run has replaced it for good
                setattr(sys, name, before)

    @contextmanager
    def keeping(self, tail: OutputTail) -> Iterator[None]:
        """Keep in the block what is printed."""
        self._tail = tail
        try:
            yield
        finally:
            self._tail = None

    def keep(self, data: bytes) -> None:
        """Keep output if a run has printed it."""
        tail = self._tail
        if tail is not None and threading.get_ident() not in self._others:
            tail.write(data)


class _Stream:
    """A stream that passes everything on, and what is written also to a tee."""

    def __init__(self, stream: TextIO, tee: OutputTee) -> None:
        self._stream = stream
        self._tee = tee

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._tee.keep(text.encode(errors="backslashreplace"))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)
