"""One check of a sweep: what it found, the numbers it rests on, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a check comes to.

    PASS says that nothing was found to act on; WARN that something should be done, or cannot be told yet; FAIL that
    the sweep does not answer what it was run for.
    """

    PASS = "PASS"  # noqa: S105  not a password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class SweepCheck:
    """One check.

    Attributes:
        name: Which, a few lower-case words.
        outcome: What it comes to.
        evidence: One or two sentences with the numbers.
        next_step: One sentence: what to try; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    evidence: str
    next_step: str = ""
