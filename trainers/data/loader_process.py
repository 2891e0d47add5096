"""Start processes that load data, which end with the process that started them and never receive Ctrl-C."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

_ENDING_S = 5.0
"""Longest time from the end of a process's pipes to its own."""


def end_with_parent(_: int = 0) -> None:
    """End this process as soon as the process that started it is dead, however it died."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def ended_process(processes: Sequence[BaseProcess]) -> BaseProcess | None:
    """Return one of some processes that has ended, or is about to; None if all of them run."""
    ready = wait([process.sentinel for process in processes], _ENDING_S)
    for process in processes:
        if process.sentinel in ready:
            process.join(_ENDING_S)  # its pipe is closed a moment before it has ended
    return next((process for process in processes if process.exitcode is not None), None)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes inside the block that Ctrl-C does not reach: the process that trains decides when they end.

    torch's handler of SIGCHLD is removed again: it would raise the death of a process anywhere in this program, and not
    only where the next batch is awaited.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if handler is not None and signal.getsignal(signal.SIGCHLD) is not handler:
            signal.signal(signal.SIGCHLD, handler)
