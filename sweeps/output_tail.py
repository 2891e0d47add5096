"""The last lines of what a run prints, in bounded memory. Imports nothing heavy."""

import codecs
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from trainers.command.transcript import PROMPT

KEPT_LINES: Final = 200
LONGEST_LINE: Final = 2000  # characters of a kept line
LONGEST_COMMAND: Final = 8 * LONGEST_LINE
SEND_EVERY_S: Final = 10.0

_MOST_WAITING = 2**16  # bytes
_UNFINISHED = 8 * LONGEST_LINE  # characters of the last line that are kept until it ends: colours take room, too
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")  # colours, titles, ...
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class OutputTail:
    """Keeps the last lines of a stream of bytes, as text that every database and terminal accepts.

    A line that is overwritten after a carriage return, such as a progress bar, is kept in its last state. If the first
    line is a command (see `is_command`), it stays the first one. Several threads may write.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        self._command: list[str] | None = None  # the first line if it is a command; None until it has ended
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._last = ""  # the line that has not ended yet
        self._waiting: list[bytes] = []  # output that is not split into lines yet: a print costs almost nothing
        self._size = 0
        self._changed = False
        self._taken_at: float | None = None

    def write(self, data: bytes) -> None:
        """Add output."""
        if not data:
            return
        with self._lock:
            self._changed = True
            self._waiting.append(data)
            self._size += len(data)
            if self._size > _MOST_WAITING:
                self._split()

    def text(self) -> str:
        """Return the last lines, without a newline at the end."""
        with self._lock:
            self._split()
            last = _shown(self._last)
            command = self._command or []
            return "\n".join(command + [*self._lines, *([last] if last else [])][-KEPT_LINES + len(command) :])

    def news(self, at_once: bool) -> str | None:
        """Return the last lines if there are new ones since the last call; None if not, or if that was just now.

        Args:
            at_once: Whether to return them even if the last call was less than `SEND_EVERY_S` ago.
        """
        now = self._clock()
        if not self._changed or not (at_once or self._taken_at is None or now - self._taken_at >= SEND_EVERY_S):
            return None
        self._changed, self._taken_at = False, now
        return self.text() or None

    def _split(self) -> None:
        *ended, last = (self._last + self._decode(b"".join(self._waiting))).split("\n")
        self._waiting, self._size = [], 0
        if ended and self._command is None:
            self._command = [_shown(ended.pop(0), LONGEST_COMMAND)] if is_command(ended[0]) else []
        self._lines.extend(_shown(line) for line in ended[-KEPT_LINES:])
        state = _last_state(last)
        self._last = state[:_UNFINISHED] + ("\r" if last.endswith("\r") else "")


def is_command(line: str) -> bool:
    """Return whether a line is the command of a run, which comes before everything that it prints."""
    return line.startswith(PROMPT)


def _last_state(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part), "")


def _shown(line: str, longest: int = LONGEST_LINE) -> str:
    text = _SEQUENCE.sub("", _last_state(line))
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= longest else f"{text[:longest]} ... (cut)"
