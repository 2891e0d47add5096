"""The states of a run."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "RUNNING"  # a live driver works on it
    COMPLETE = "COMPLETE"  # trained its whole budget
    STOPPED = "STOPPED"  # by ASHA, at a rung
    DIVERGED = "DIVERGED"  # reported a number that is not finite
    FAILED = "FAILED"  # an error, kept with its traceback
    INTERRUPTED = "INTERRUPTED"  # its driver went away; the same command continues it

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in (RunState.RUNNING, RunState.INTERRUPTED)
