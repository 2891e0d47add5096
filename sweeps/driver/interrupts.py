"""Handles Ctrl-C and SIGTERM in a driver.

Other threads write records, renew the lease and start Ray while the main thread works. A KeyboardInterrupt between any
two lines would leave locks held and connections half open. So the first signal takes effect only where that is safe:
at once while the main thread waits for something, after the current steps while runs train, and otherwise at the next
such place. The second signal raises KeyboardInterrupt at once.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer, main_thread
from types import FrameType
from typing import Any, Self

AGAIN_S = 0.05


class Interrupts:
    """Handles the signals of a driver; a context manager that restores the old handlers.

    Args:
        say: Prints a line for the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._signaled = False
        self._waiting = False
        self._drain: Callable[[], None] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._unraisable_before = sys.unraisablehook

    def __enter__(self) -> Self:
        self._unraisable_before, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.arm()
        return self

    def arm(self) -> None:
        """Install the handlers; again after Ray has replaced them, which it does on import and on start."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._unraisable_before

    def check(self) -> None:
        """Raise if a signal has arrived.

        Raises:
            KeyboardInterrupt: A signal has arrived.
        """
        if self._signaled:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the first signal interrupt the block at once; for blocks that only wait."""
        self.check()
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        self.check()  # Ray may have swallowed it

    @contextmanager
    def draining(self, drain: Callable[[], None]) -> Iterator[None]:
        """Let the first signal call `drain`, so that the current steps are completed; for the training."""
        self.check()
        self._drain = drain
        try:
            yield
        finally:
            self._drain = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.alarm(0)  # a signal that Ray's handler got first would abort the process 3 s later
        if self._signaled:
            raise KeyboardInterrupt
        self._signaled = True
        if self._drain is not None:
            self._drain()
            self._say("stopping: waiting for the steps that run now (press Ctrl-C again to stop at once)")
        elif self._waiting:
            raise KeyboardInterrupt

    def _unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """Interrupt again if a KeyboardInterrupt was lost: Python prints and ignores those of finalizers."""
        if lost.exc_type is KeyboardInterrupt:
            # Later, since it would be lost again here; a real signal, which also ends waiting.
            Timer(AGAIN_S, signal.pthread_kill, (main_thread().ident, signal.SIGINT)).start()
        else:
            self._unraisable_before(lost)
