"""Run the command line in this process, which saves starting a process and importing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sweeps.cli import app


@dataclass(frozen=True)
class Answer:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


Command = Callable[..., Answer]


def in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int = 140) -> Command:
    """Return a function that runs `sweeps` with its arguments, for a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(columns))

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["sweeps", *arguments])
        capsys.readouterr()
        code, path = 0, list(sys.path)
        try:
            app.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            logging.captureWarnings(False)
            sys.path[:] = path  # a run adds the current folder, for the user's own task
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call
