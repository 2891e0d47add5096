"""One thread that brings what was recorded into the database, in order: training never waits for the database.

An event is recorded once it is in the journal, a file on this machine. From there the thread writes it, again and again
while the database is away, exactly once: the database counts in the same transaction how many events of this driver
are in. What a driver that died had recorded and not yet written, the next one on the same machine writes first, unless
another one has driven the sweep in between.
"""

from __future__ import annotations

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

BATCH = 200  # at most, in one transaction
GATHER_S = 0.02  # before a transaction: a few events cost about as much as one
SYNC_EVERY_S = 1.0  # at most so much is trained again after a power cut
SHORT_S, LONG_S = 0.1, 2.0  # between two tries to reach a database that is away
SAID_AFTER_S = 2.0
PATIENCE_S = 60.0  # for the database, at the end of a sweep
LARGE = 4 * 2**20  # bytes of a file that begins anew when all of it is written


class Writer:
    """What a driver records with; a context manager that has everything in the database when it is left.

    Args:
        store: The database.
        fence: The right to write it.
        path: Of the journal.
        check: Raises when this driver must not write any more.
        say: Told when it has to wait for the database on leaving.
        patience_s: How long it does.

    Raises:
        SweepError: The database does not answer, or the journal cannot be made.
    """

    def __init__(
        self,
        store: Store,
        fence: Fence,
        path: Path,
        check: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._store = store
        self.fence = fence
        self._check = check
        self._say = say
        self._patience_s = patience_s
        self.replayed = replay_journal(store, fence, path)  # what the database did not have of another driver's events
        store.take_over(fence)
        self._journal = Journal(path, fence.owner)
        self._queue: list[Event | Callable[[], None]] = []
        self._written = 0  # events of this driver that the database has
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._trying_since: float | None = None
        self._synced_at = time.monotonic()
        self._thread = threading.Thread(target=self._keep, name="writer", daemon=True)

    # --- for the conductor ----------------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        """Record an event: it outlives this process from now on.

        Raises:
            SweepError: The sweep is another driver's, the database refuses what it was given, or the disk is full.
        """
        payload = encode(event)
        with self._changed:
            self.check()
            self._journal.append(payload)
            self._queue.append(event)
            self._changed.notify_all()

    def then(self, action: Callable[[], None]) -> None:
        """Do this on the thread when everything recorded so far is in the database, and never if it cannot be."""
        with self._changed:
            self._queue.append(action)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise if nothing more can be recorded.

        Raises:
            SweepError: As for `put`.
        """
        if self._error is not None:
            raise self._error
        self._check()

    @property
    def remark(self) -> str:
        """What a person has to know: empty while the database keeps up."""
        since = self._trying_since
        away = 0.0 if since is None else time.monotonic() - since
        return f"database away since {away:.0f} s, {self._waiting} records waiting" if away > SAID_AFTER_S else ""

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
        flushed = self.flush(min(SAID_AFTER_S, self._patience_s))
        if not flushed and self._error is None:
            self._say(f"database away: waiting {self._patience_s:.0f} s for it to take {self._waiting} records")
            flushed = self.flush(self._patience_s)
        flushed = flushed and self._handed_in()
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(LONG_S)  # it may hang in a server that does not answer
        void = isinstance(self._error, LeaseLostError)
        if not flushed and not void:
            self._journal.sync()
        self._journal.close(remove=flushed or void)
        if self._error is not None and error is not self._error:
            raise self._error
        if not flushed and self._error is None:
            raise SweepError(
                f"the database is away: {self._waiting} records wait in {self._journal.path}; nothing is lost, the "
                "same command on this machine continues"
            )

    def _handed_in(self) -> bool:
        try:
            self._store.mark_complete(self.fence)
        except LeaseLostError as error:
            self._error = error
        except SweepError:
            return False
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything recorded so far is in the database; False when it is not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or self._error is not None, timeout_s)
            return not self._queue

    # --- on the thread --------------------------------------------------------------------------------------

    def _keep(self) -> None:
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
            except BaseException as error:  # noqa: BLE001  a thread has no caller: whoever records next is told
                self._fail(error)
            if self._error is not None:
                return

    def write(self) -> None:
        """Write what waits, as far as one transaction goes.

        Raises:
            SweepError: The database is away, or the lease is lost.
        """
        with self._changed:
            batch = list(islice(self._queue, BATCH))
        if not batch:
            return
        self._trying_since = self._trying_since or time.monotonic()
        events = [item for item in batch if not callable(item)]
        if events:
            self._written_up_to(self._written + len(events), events)
        for item in batch:
            if callable(item):
                item()
        self._trying_since = None
        with self._changed:
            del self._queue[: len(batch)]
            self._changed.notify_all()

    def _written_up_to(self, end: int, events: list[Event]) -> None:
        there = self._store.write(self.fence, events, self._written)
        if there < self._written:  # a server that crashed came up without its last transactions
            again = read_journal(self._journal.path)
            if again is None or again.author != self.fence.owner or there < again.first:
                raise OSError("the database lost what it had taken; the same command continues from what it has")
            payloads = again.payloads[there - again.first : end - again.first]
            self._store.write(self.fence, [decode(payload) for payload in payloads], there)
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
    """Write what a driver that is gone left in its journal; how many events that were.

    Raises:
        SweepError: The database does not answer, or the file is another release's.
    """
    left = read_journal(path)
    if left is None:
        return 0
    author, written = store.written(fence.sweep_id)
    if author != left.author or written < left.first:  # what another driver did since stands; this is trained again
        return 0
    waiting = left.payloads[written - left.first :]
    for start in range(0, len(waiting), BATCH):
        events = [decode(payload) for payload in waiting[start : start + BATCH]]
        store.write(fence, events, written + start, author)
    return len(waiting)
