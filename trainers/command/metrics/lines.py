"""Split the output of a program into lines, in bounded memory, however it arrives in pieces."""

from typing import Final

LONGEST_LINE: Final = 64 * 1024
"""Bytes of a line that is read; a longer one is no report of metrics."""


class Lines:
    """Collects the pieces of an output and returns whole lines as text.

    A carriage return starts a line again, as in a terminal: only what the line shows when it ends is returned, so a
    progress bar is one line, and how often it was drawn does not matter. Bytes that are not UTF-8 are replaced.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.too_long = 0
        """Number of lines that were left out because they are longer than ``LONGEST_LINE``."""

    def feed(self, piece: bytes) -> list[str]:
        """Add a piece and return the lines that are whole now."""
        *whole, rest = (self._rest + piece).split(b"\n")
        self._rest = _bounded(rest)
        return self._texts(whole)

    def end(self) -> list[str]:
        """Return the last line if the output ended without a newline."""
        rest, self._rest = self._rest, b""
        return self._texts([rest])

    def clear(self) -> None:
        """Forget an unfinished line: another output begins."""
        self._rest = b""

    def _texts(self, whole: list[bytes]) -> list[str]:
        texts = []
        for line in whole:
            shown = _shown(line)
            if len(shown) > LONGEST_LINE:
                self.too_long += 1
            elif shown:
                texts.append(shown.decode("utf-8", "replace"))
        return texts


def _shown(line: bytes) -> bytes:
    """Return what a terminal shows of a line: its last part that is not blank, at most one byte above the limit."""
    if b"\r" not in line:
        return line[: LONGEST_LINE + 1].rstrip()
    parts = (part[: LONGEST_LINE + 1].rstrip() for part in reversed(line.split(b"\r")))
    return next((part for part in parts if part), b"")


def _bounded(rest: bytes) -> bytes:
    """Return an unfinished line without what can no longer be shown."""
    if b"\r" not in rest:
        return rest[: LONGEST_LINE + 1]
    before, _, current = rest.rpartition(b"\r")
    return _shown(before) + b"\r" + current[: LONGEST_LINE + 1]
