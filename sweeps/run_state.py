"""The states of a run."""

from enum import StrEnum


class RunState(StrEnum):
    """State of a run."""

    RUNNING = "RUNNING"  # a driver is training it
    COMPLETE = "COMPLETE"  # trained for its full budget
    STOPPED = "STOPPED"  # stopped by ASHA at a rung
    DIVERGED = "DIVERGED"  # reported a number that is not finite
    FAILED = "FAILED"  # an error, kept with its traceback
    INTERRUPTED = "INTERRUPTED"  # its driver stopped; the same command continues it

    @property
    def finished(self) -> bool:
        """Whether the run has ended for good."""
        return self not in (RunState.RUNNING, RunState.INTERRUPTED)
