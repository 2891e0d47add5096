"""Keeps the Optuna study in the database up to date, on a thread of its own: no run waits for it."""

import threading
from collections.abc import Callable, Mapping, Sequence

from search_spaces import SpaceSpec, SweepError
from sweeps.listener import Listener
from sweeps.store.records import Fence
from sweeps.store.store import Store
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study

EVERY_S = 1.0
LAST_TRIES = 5
LAST_S = 60.0  # the longest time that the end of a command waits for a write that has begun


class StudyMirror(Listener):
    """A listener that writes the latest snapshot of each run to the Optuna study in the database.

    The study can be rebuilt from our tables at any time. So a write that fails is tried again after a moment, and the
    next driver writes what a crashed one left unwritten.

    Args:
        open_study: Opens the study; called on the thread of the mirror, because it is slow on a new database.
        store: Database that keeps the ids of the trials with their runs.
        fence: Fence of this driver.

    Attributes:
        behind: The error of the last write; None if it succeeded.
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
        self._thread = threading.Thread(target=self._write_regularly, name="study-mirror", daemon=True)

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        self._changed = {run.number: run for run in runs}
        self._thread.start()

    def run_begins(self, run: RunSnapshot) -> None:
        with self._lock:
            self._changed[run.number] = run

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        self.run_begins(run)

    run_ends = run_begins

    def sweep_ends(self) -> None:
        """Write what is left.

        Raises:
            SweepError: The database did not take it.
        """
        self._over.set()
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self.behind = TimeoutError(f"the database did not answer for {LAST_S:.0f} s")
        elif any(self._write() for _ in range(LAST_TRIES)):
            return
        raise SweepError(f"the Optuna study is behind: {self.behind}; the same command completes it")

    def _write_regularly(self) -> None:
        while not self._over.wait(EVERY_S):
            self._write()

    def _write(self) -> bool:
        """Write what changed; return False and keep the error if that fails."""
        with self._lock:
            views, self._changed = self._changed, {}
        try:
            self._store.check_lease(self._fence)  # after another driver took over, these snapshots are outdated
            if self._study is None:
                self._study = self._open_study()
            elif self.behind is not None:
                self._study.reread()
            self._study.sync(views.values())
            new = {number: ident for number, ident in self._study.trial_ids.items() if number not in self._linked}
            if new:
                self._store.link_trials(self._fence, new)
                self._linked |= set(new)
        except Exception as error:  # noqa: BLE001  tried again, and reported at the end
            self.behind = error
            with self._lock:
                self._changed = views | self._changed
            return False
        self.behind = None
        return True
