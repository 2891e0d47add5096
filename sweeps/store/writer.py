"""Writes recorded events to the database in order, on a thread of its own: training never waits for the database.

An event is recorded once it is in the journal, a file on this machine. From there the thread writes it to the database
exactly once, trying again while the database is unreachable: the same transaction counts the events of this driver.
Events that a crashed driver recorded and did not write are written by the next driver on the same machine, unless
another driver has written the sweep since.
"""

import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from search_spaces import LeaseLostError, SweepError
from sweeps.store.events import Event, decode, encode
from sweeps.store.journal import Journal, read_journal
from sweeps.store.records import Fence
from sweeps.store.store import Store

BATCH = 200  # the most events in one transaction
GATHER_S = 0.02  # wait before a transaction: several events cost about as much as one
SYNC_EVERY_S = 1.0  # after a power cut, about this much training is repeated
SHORT_S, LONG_S = 0.1, 2.0  # shortest and longest pause between two tries to write
NOTICE_AFTER_S = 2.0  # the user is told when the database has been unreachable for this long
TIMEOUT_S = 60.0  # for the last writes, at the end of a command
LARGE = 4 * 2**20  # size in bytes above which a journal is emptied once everything is written


class Writer:
    """Records events; a context manager that writes everything to the database before it exits.

    Args:
        store: The database.
        fence: The right to write the sweep.
        path: Path of the journal.
        check: Function that raises an error when this driver must stop writing.
        say: Function that prints a message, for when the exit has to wait for the database.
        timeout_s: The longest wait on exit, in seconds.

    Attributes:
        replayed: Number of events of an earlier driver that were written from its journal.

    Raises:
        SweepError: The database does not answer, or the journal cannot be created.
    """

    def __init__(
        self,
        store: Store,
        fence: Fence,
        path: Path,
        check: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._store = store
        self.fence = fence
        self._check = check
        self._say = say
        self._timeout_s = timeout_s
        self.replayed = replay_journal(store, fence, path)
        store.take_over(fence)
        self._journal = Journal(path, fence.owner)
        self._queue: list[Event | Callable[[], None]] = []
        self._written = 0  # number of events of this driver in the database
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._trying_since: float | None = None
        self._synced_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    # --- for the conductor ----------------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        """Record an event: from now on it survives the end of this process.

        Raises:
            SweepError: Another driver has the sweep, the database rejected an event, or the disk is full.
        """
        payload = encode(event)
        with self._changed:
            self.check()
            self._journal.append(payload)
            self._queue.append(event)
            self._changed.notify_all()

    def then(self, action: Callable[[], None]) -> None:
        """Call a function on the writer's thread once everything recorded so far is in the database."""
        with self._changed:
            self._queue.append(action)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise an error if nothing more can be recorded.

        Raises:
            SweepError: As for `put`.
        """
        if self._error is not None:
            raise self._error
        self._check()

    @property
    def remark(self) -> str:
        """Message about an unreachable database; empty while everything is written in time."""
        since = self._trying_since
        waited = 0.0 if since is None else time.monotonic() - since
        late = waited > NOTICE_AFTER_S
        return f"database unreachable for {waited:.0f} s, {self._waiting} records waiting" if late else ""

    @property
    def _waiting(self) -> int:
        return sum(not callable(item) for item in list(self._queue))

    # --- from start to end ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flushed = self.flush(min(NOTICE_AFTER_S, self._timeout_s))
        if not flushed and self._error is None:
            self._say(f"database unreachable: waiting up to {self._timeout_s:.0f} s to write {self._waiting} records")
            flushed = self.flush(self._timeout_s)
        flushed = flushed and self._completed()
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(LONG_S)  # it may be blocked by a server that does not answer
        lost = isinstance(self._error, LeaseLostError)
        if not flushed and not lost:
            self._journal.sync()
        self._journal.close(remove=flushed or lost)
        if self._error is not None and error is not self._error:
            raise self._error
        if not flushed and self._error is None:
            raise SweepError(
                f"the database is unreachable: {self._waiting} records wait in {self._journal.path}; nothing is lost, "
                "the same command on this machine continues"
            )

    def _completed(self) -> bool:
        try:
            self._store.mark_complete(self.fence)
        except LeaseLostError as error:
            self._error = error
        except SweepError:
            return False
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything recorded so far is in the database; return False after the timeout or an error."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or self._error is not None, timeout_s)
            return not self._queue

    # --- on the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = SHORT_S
        while not self._over.is_set():
            with self._changed:
                waits = self._changed.wait_for(lambda: self._queue or self._over.is_set(), SYNC_EVERY_S)
            if waits and len(self._queue) < BATCH:
                self._over.wait(GATHER_S)
            try:
                self.write()
                self._tidy()
                pause = SHORT_S
            except LeaseLostError as error:
                self._fail(error)
            except SweepError:
                self._over.wait(pause)
                pause = min(2 * pause, LONG_S)
            except BaseException as error:  # noqa: BLE001  the next call of `check` raises it
                self._fail(error)
            if self._error is not None:
                return

    def write(self) -> None:
        """Write the waiting events in one transaction, at most `BATCH` of them.

        Raises:
            SweepError: The database is unreachable, or the lease is lost.
        """
        with self._changed:
            batch = list(islice(self._queue, BATCH))
        if not batch:
            return
        self._trying_since = self._trying_since or time.monotonic()
        events = [item for item in batch if not callable(item)]
        if events:
            self._write_events(self._written + len(events), events)
        for item in batch:
            if callable(item):
                item()
        self._trying_since = None
        with self._changed:
            del self._queue[: len(batch)]
            self._changed.notify_all()

    def _write_events(self, end: int, events: list[Event]) -> None:
        stored = self._store.write(self.fence, events, self._written)
        if stored < self._written:  # a server restarted without its last transactions
            again = read_journal(self._journal.path)
            if again is None or again.author != self.fence.owner or stored < again.first:
                raise OSError(
                    "the database lost records that it had stored; the same command continues from what it has"
                )
            payloads = again.payloads[stored - again.first : end - again.first]
            self._store.write(self.fence, [decode(payload) for payload in payloads], stored)
        self._written = end

    def _tidy(self) -> None:
        with self._changed:
            if not self._queue and self._journal.size > LARGE:
                self._journal.clear(self._written)
        if time.monotonic() - self._synced_at > SYNC_EVERY_S:
            self._synced_at = time.monotonic()
            self._journal.sync()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()


def replay_journal(store: Store, fence: Fence, path: Path) -> int:
    """Write the events that the last driver left in its journal; return their number.

    Raises:
        SweepError: The database does not answer, or another release wrote the journal.
    """
    left = read_journal(path)
    if left is None:
        return 0
    author, written = store.written(fence.sweep_id)
    if (
        author != left.author or written < left.first
    ):  # another driver has written since: these epochs are trained again
        return 0
    waiting = left.payloads[written - left.first :]
    for start in range(0, len(waiting), BATCH):
        events = [decode(payload) for payload in waiting[start : start + BATCH]]
        store.write(fence, events, written + start, author)
    return len(waiting)
