"""What all kinds of trainings share: they advance by a number of optimizer steps, or to the end of the epoch."""

import sys
from abc import ABC, abstractmethod

from trainers.reports import EpochReport


class Advancing(ABC):
    """A training that advances by a number of optimizer steps."""

    @property
    def reports_all(self) -> bool:
        """Whether every epoch reports all metrics of the task."""
        return True

    @abstractmethod
    def advance(self, steps: int) -> EpochReport | None:
        """Train for at most ``steps`` optimizer steps; return the report of the epoch if that completes it."""

    def run_epoch(self) -> EpochReport:
        """Train to the end of the current epoch and return its report."""
        while (report := self.advance(sys.maxsize)) is None:
            pass
        return report
