"""Keeps the Optuna study in the database up to date, on a thread of its own: no run ever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sweeps.store.records import Fence
from sweeps.store.store import Store
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study

EVERY_S = 1.0
LAST_TRIES = 5
LAST_S = 60.0  # so long the end of a driver waits for a database in the middle of a write


class StudyMirror:
    """A context manager; inside it, `watch` takes every view and the thread writes the newest of each run.

    The copy can be made again from our tables at any time, so a write that fails is tried again a moment later, and
    what a dead driver left unwritten is written by the next one.

    Args:
        open_study: Makes the study; called on the thread, since it takes a while on a new database.
        store: Where the ids of the trials are kept with their runs.
        fence: The right to write there.
    """

    def __init__(self, open_study: Callable[[], Study], store: Store, fence: Fence) -> None:
        self._open_study = open_study
        self._store = store
        self._fence = fence
        self._changed: dict[int, RunSnapshot] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._study: Study | None = None
        self._linked: set[int] = set()
        self.behind: Exception | None = None
        self._thread = threading.Thread(target=self._keep, name="dashboard-copy", daemon=True)

    def watch(self, view: RunSnapshot) -> None:
        """Remember that this run changed."""
        with self._lock:
            self._changed[view.number] = view

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self.behind = TimeoutError(f"the database has not answered for {LAST_S:.0f} s")
            return
        for _ in range(LAST_TRIES):
            if self._write():
                return

    def _keep(self) -> None:
        while not self._over.wait(EVERY_S):
            self._write()

    def _write(self) -> bool:
        """Write what changed; False, with the reason kept, if the database did not take it."""
        with self._lock:
            views, self._changed = self._changed, {}
        try:
            self._store.check_lease(self._fence)  # what an overtaken driver has not copied yet is not true any more
            if self._study is None:
                self._study = self._open_study()
            elif self.behind is not None:
                self._study.reread()
            self._study.sync(views.values())
            new = {number: ident for number, ident in self._study.trial_ids.items() if number not in self._linked}
            if new:
                self._store.link_trials(self._fence, new)
                self._linked |= set(new)
        except Exception as error:  # noqa: BLE001  the copy never ends a sweep; the reason is kept and shown
            self.behind = error
            with self._lock:
                self._changed = views | self._changed
            return False
        self.behind = None
        return True
