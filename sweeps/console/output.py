"""The one door to the terminal: a console that prints every text as it is, on streams that never fail."""

import io
import os
import sys
from typing import IO, Any, TextIO

import typer
from rich.console import Console

from search_spaces.files.yaml_parser import scalar
from search_spaces.values import show


def open_console(file: IO[str] | None = None, width: int | None = None, terminal: bool | None = None) -> Console:
    """Return a console for texts of users: ``[INST]`` and ``:smile:`` are neither markup nor emoji.

    Styles of our own are given as `rich.text.Text` objects.

    Args:
        file: File to print to. Default: standard output.
        width: Number of columns. Default: that of the terminal.
        terminal: Whether to print as to a terminal. Default: whether the file is one.
    """
    return Console(file=file, width=width, force_terminal=terminal, markup=False, emoji=False, highlight=False)


def short(value: object) -> str:
    """Return the value of a recipe field in a few characters, as space files have it: the text '1' keeps its quotes."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, str):
        return value if scalar(value) == value else repr(value)
    return show(value) if value is None or isinstance(value, bool) else str(value)


def print_document(text: str) -> None:
    """Print a document for a file or another program, in UTF-8 as every file, whatever the terminal can show."""
    typer.echo(text.encode(), nl=False)


def forgive_streams() -> None:
    """Let no print fail: replace what a stream cannot encode, and drop what nobody reads any more (``| head``)."""
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)


class _Pipe(io.FileIO):
    """The file of a standard stream; what is written after its reader has gone is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)


def _forgiving(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="replace")
    if stream not in (sys.__stdout__, sys.__stderr__):  # replaced by a program that calls this one
        return stream
    stream.flush()
    pipe = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        pipe, stream.encoding, "replace", line_buffering=stream.line_buffering or stream.write_through
    )
