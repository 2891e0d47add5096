"""One driver per sweep: a lease in the database, renewed while its holder lives."""

from __future__ import annotations

import secrets
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import psutil

from search_spaces import SweepError
from sweeps.store import Store

DURATION_S = 30.0
RENEW_EVERY_S = 5.0


class Lease:
    """The right to write one sweep; a context manager that renews itself on a thread of its own.

    A holder on this machine whose process is gone is replaced at once. One on another machine is waited for until its
    time is over, since nothing here can tell whether it lives.

    Args:
        store: The database.
        name: Of the sweep; it must exist.

    Raises:
        SweepError: On entering: another driver holds it.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._sweep_id = -1
        self._owner = owner_name()
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        sweep = self._store.sweep(self._name)
        if sweep is None:
            raise SweepError(f"sweep {self._name!r} is not in the database")
        holder = sweep.lease_owner
        dead = holder if holder is not None and not alive(holder) else None
        if not self._store.take_lease(sweep.id, self._owner, _expiry(), instead_of=dead):
            until = f"{sweep.lease_expires:%H:%M:%S} UTC" if sweep.lease_expires else "soon"
            raise SweepError(
                f"sweep {self._name!r} has a driver already: {readable(holder)}, its lease runs until {until} and is "
                "renewed while it lives; watch it with `sweeps status`, or stop it and repeat this command"
            )
        self._sweep_id = sweep.id
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if not self._lost:
            self._store.renew_lease(self._sweep_id, self._owner, None)

    def check(self) -> None:
        """Raise if somebody else drives the sweep now.

        Raises:
            SweepError: The lease ran out and was taken.
        """
        if self._lost:
            raise SweepError(f"another driver took sweep {self._name!r} over; this one stops writing")

    def _keep(self) -> None:
        while not self._over.wait(RENEW_EVERY_S):
            try:
                self._lost = not self._store.renew_lease(self._sweep_id, self._owner, _expiry())
            except SweepError:
                continue  # the database is away; the lease may run out, and the next renewal will tell
            if self._lost:
                return


def owner_name() -> str:
    """``host:pid:start time:nonce``: enough to tell a dead holder from another process with its id."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}:{secrets.token_hex(4)}"


def alive(owner: str) -> bool:
    """Whether the process that `owner_name` described may still run; on another machine it always may."""
    host, pid, started, _ = owner.rsplit(":", 3)
    if host != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def readable(owner: str | None) -> str:
    """A holder as a person says it."""
    if owner is None:
        return "unknown"
    host, pid, _, _ = owner.rsplit(":", 3)
    return f"process {pid} on {host}"


def _expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=DURATION_S)
