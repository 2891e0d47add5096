"""What a check of a task says: the words shared with whoever prints them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "PASS"  # noqa: S105  a verdict, not a password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """One check of a task.

    Attributes:
        name: Which one.
        outcome: FAIL is for what makes a sweep pointless, WARN for what a person should look at.
        evidence: What was measured.
        fix: What to do; empty for PASS.
    """

    name: str
    outcome: Outcome
    evidence: str
    fix: str = ""


def passed(name: str, evidence: str) -> Check:
    """Return a check that found nothing."""
    return Check(name, Outcome.PASS, evidence)


def warned(name: str, evidence: str, fix: str) -> Check:
    """Return a check that found something to look at."""
    return Check(name, Outcome.WARN, evidence, fix)


def failed(name: str, evidence: str, fix: str) -> Check:
    """Return a check that found what has to be mended first."""
    return Check(name, Outcome.FAIL, evidence, fix)
