"""The interface for code that follows a sweep: the live view, the Optuna study, trackers such as MLflow or W&B.

A tracker is one file with a subclass of `Listener`: `sweeps run SPACE --listener my_tracker:Tracker`.
"""

from collections.abc import Mapping, Sequence
from threading import current_thread, main_thread

from search_spaces import SpaceSpec, SweepError
from sweeps.study.snapshot import RunSnapshot


class Listener:
    """Base class of listeners. Every method does nothing; override those you need.

    When: each method is called after the database has recorded what it reports, in the order of recording. A driver
    that has lost its lease reports nothing more, except the end of the sweep.

    Threads: `sweep_begins` is called on the main thread before any worker starts, `sweep_ends` on the thread that ends
    the command. The other methods are called on the writer's thread, one call at a time. They must return quickly:
    training continues while they work, but nothing is written to the database. A listener that waits for a server needs
    a thread of its own, as `StudyMirror` has.

    Errors: an exception never ends the sweep. The first one of each listener is printed with the listener's name at the
    end of the command. The listener is still called afterwards.

    Repetition: a run begins again after it was interrupted or lost its worker. After a crash of the driver there was no
    `run_ends` and no `sweep_ends`, and the next driver calls `sweep_begins` again. Identify everything by the number of
    the run and the epoch, so that a repeated call replaces what is there.
    """

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        """Handle the start of a command that runs or continues a sweep.

        Args:
            spec: Name, task, metric, search space and base recipe of the sweep.
            runs: All runs so far, by number. Their curves contain the epochs that a crashed driver did not report.
        """

    def run_begins(self, run: RunSnapshot) -> None:
        """Handle the start of a run on a worker, for the first time or again."""

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        """Handle a new epoch. An epoch that was recorded before and trained again is not reported.

        Args:
            run: The run after the step that the epoch belongs to; a step may have several epochs.
            epoch: Number of the epoch, from 1; with a budget of steps, the step.
            metrics: Metric name -> value, for all metrics of the epoch.
        """

    def run_ends(self, run: RunSnapshot) -> None:
        """Handle the end of a run on its worker. A run that is INTERRUPTED will begin again, any other is finished."""

    def sweep_ends(self) -> None:
        """Handle the end of the command: no other method is called after this one. Release threads and connections."""


class Listeners(Listener):
    """Calls several listeners and keeps their exceptions away from the sweep.

    Attributes:
        named: Listeners by name.
        failures: Name of a listener -> its first exception, as text.
    """

    def __init__(self) -> None:
        self.named: dict[str, Listener] = {}
        self.failures: dict[str, str] = {}

    def sweep_begins(self, spec: SpaceSpec, runs: Sequence[RunSnapshot]) -> None:
        self._call("sweep_begins", spec, runs)

    def run_begins(self, run: RunSnapshot) -> None:
        self._call("run_begins", run)

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        self._call("epoch_recorded", run, epoch, metrics)

    def run_ends(self, run: RunSnapshot) -> None:
        self._call("run_ends", run)

    def sweep_ends(self) -> None:
        self._call("sweep_ends")

    def _call(self, method: str, *arguments: object) -> None:
        for name, listener in self.named.items():
            try:
                getattr(listener, method)(*arguments)
            except SweepError as error:  # its text is written for users
                self.failures.setdefault(name, str(error))
            except BaseException as error:  # a listener never ends the sweep, not even by SystemExit
                if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():  # of a person
                    raise
                self.failures.setdefault(name, f"{type(error).__name__} in {method}: {error}")
