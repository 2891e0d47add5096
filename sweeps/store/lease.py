"""Allows one driver per sweep: a lease in the database, timed by its clock and renewed by its holder."""

import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

from search_spaces import SweepError
from sweeps.store.records import Fence, SweepRecord
from sweeps.store.store import Store, lease_lost

DURATION_S = 30.0
RENEW_EVERY_S = 5.0
RETRY_EVERY_S = 1.0  # while waiting for another driver


class Lease:
    """The right to write one sweep; a context manager that renews the lease on a thread of its own.

    A holder on this machine whose process has ended is replaced at once. Any other holder with an expired lease is
    observed for one renewal period first: the lease of a live driver expires, too, if the database is unreachable.

    Args:
        store: The database.
        name: Name of the sweep; it must exist.
        wait: Wait for the end of another driver instead of raising an error.
        say: Called once with the message that another driver is waited for.

    Attributes:
        fence: The right to write, valid once the lease is entered.

    Raises:
        SweepError: When entered: another driver holds the lease.
    """

    def __init__(
        self, store: Store, name: str, wait: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self._store = store
        self._name = name
        self._wait = wait
        self._say = say
        self._owner = owner_name()
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.fence = Fence(-1, self._owner, -1)

    def __enter__(self) -> Self:
        said = False
        while (fence := self._take(self._sweep())) is None:
            holder = _holder(self._sweep())
            if not self._wait:
                raise SweepError(
                    f"sweep {self._name!r} has a driver already: {holder}; watch it with `sweeps status`, stop it and "
                    "repeat this command, or repeat it with --wait"
                )
            if not said:
                self._say(f"sweep {self._name!r} has a driver: {holder}; waiting for its end")
                said = True
            time.sleep(RETRY_EVERY_S)
        self.fence = fence
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if not self._lost:
            with suppress(SweepError):  # if the database is unreachable, the lease expires by itself
                self._store.renew_lease(self.fence, None)

    def check(self) -> None:
        """Raise an error if another driver has taken over the sweep.

        Raises:
            LeaseLostError: The lease expired and another driver has it.
        """
        if self._lost:
            raise lease_lost(f"sweep {self._name!r}")

    def _sweep(self) -> SweepRecord:
        sweep = self._store.sweep(self._name)
        if sweep is None:
            raise SweepError(f"sweep {self._name!r} is not in the database")
        return sweep

    def _take(self, sweep: SweepRecord) -> Fence | None:
        holder = sweep.lease_owner
        if holder is None or not alive(holder):
            return self._store.take_lease(sweep.id, self._owner, DURATION_S, instead_of=holder)
        if not self._store.lease_is_over(sweep.id):
            return None
        time.sleep(RENEW_EVERY_S + RETRY_EVERY_S)
        if self._sweep().lease_expires != sweep.lease_expires:
            return None
        return self._store.take_lease(sweep.id, self._owner, DURATION_S)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_EVERY_S):
            try:
                self._lost = not self._store.renew_lease(self.fence, DURATION_S)
            except SweepError:
                continue  # the database is unreachable; the next renewal shows whether the lease was taken
            if self._lost:
                return


def owner_name() -> str:
    """Return ``host:pid:start time:nonce``, which identifies this process even after its id is reused."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}:{secrets.token_hex(4)}"


def alive(owner: str) -> bool:
    """Return whether the process of an `owner_name` may still run; always true for another machine."""
    host, pid, started, _ = owner.rsplit(":", 3)
    if host != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def readable(owner: str | None) -> str:
    """Return the name of a holder for messages."""
    if owner is None:
        return "unknown"
    host, pid, _, _ = owner.rsplit(":", 3)
    return f"process {pid} on {host}"


def _holder(sweep: SweepRecord) -> str:
    """Return who drives a sweep, since when and until when."""
    since = f", since {sweep.lease_since:%Y-%m-%d %H:%M:%S} UTC" if sweep.lease_since else ""
    until = f", until {sweep.lease_expires:%H:%M:%S} UTC unless it renews its lease" if sweep.lease_expires else ""
    return f"{readable(sweep.lease_owner)}{since}{until}"
