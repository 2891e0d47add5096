"""Ctrl-C and SIGTERM, from the first line of a driver to its last.

Threads write records, keep the lease and start Ray while the main thread works: an exception that may come between any
two of its lines would leave locks held and connections half open. So the first signal is a wish, which is granted where
that is safe: at once while the main thread only waits for something, by letting the steps under way come in while runs
train, and at the next such place otherwise. The second signal is an order.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class Interrupts:
    """Takes the signals of a driver.

    Args:
        say: Tells the person at the keyboard a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._asked = False
        self._waiting = False
        self._drain: Callable[[], None] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.arm()
        return self

    def arm(self) -> None:
        """Take the signals, again after somebody else took them: Ray does so when it is imported and when it starts."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise if somebody asked for the end.

        Raises:
            KeyboardInterrupt: Somebody did.
        """
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While the main thread waits for others: the first signal ends the waiting."""
        self.check()
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        self.check()  # Ray may have swallowed it

    @contextmanager
    def draining(self, drain: Callable[[], None]) -> Iterator[None]:
        """While runs train: the first signal lets the steps come in that are under way."""
        self.check()
        self._drain = drain
        try:
            yield
        finally:
            self._drain = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        if self._drain is not None:
            self._drain()
            self._say("stopping: waiting for the epochs that run now (Ctrl-C again: not waiting)")
        elif self._waiting:
            raise KeyboardInterrupt
