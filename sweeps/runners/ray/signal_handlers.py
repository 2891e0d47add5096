"""Keep the handlers of signals, which Ray replaces."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_ROOM = 256  # bytes; `struct sigaction` of Linux has 152, that of macOS 16


@contextmanager
def kept_handler(number: int) -> Iterator[None]:
    """Put the handler of a signal back at the end of the block; on any thread.

    Connecting to Ray installs a handler in C that prints a stack trace, calls the one before, and aborts the process
    3 s later. `signal.signal` works on the main thread only, which may be waiting for something else then.
    """
    library, before = ctypes.CDLL(None), ctypes.create_string_buffer(_ROOM)
    found = library.sigaction(number, None, before) == 0
    try:
        yield
    finally:
        if found:
            library.sigaction(number, before, None)
