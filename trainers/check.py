"""The result of a check. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of a check."""

    PASS = "PASS"  # noqa: S105  not a password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: Name of the check.
        outcome: FAIL if a sweep would be pointless, WARN if a person should look at it.
        evidence: Measured values.
        next_step: Suggested next step, such as a fix; usually empty for PASS.
    """

    name: str
    outcome: Outcome
    evidence: str
    next_step: str = ""


def passed(name: str, evidence: str, next_step: str = "") -> Check:
    """Return a check with the outcome PASS."""
    return Check(name, Outcome.PASS, evidence, next_step)


def warned(name: str, evidence: str, next_step: str) -> Check:
    """Return a check with the outcome WARN."""
    return Check(name, Outcome.WARN, evidence, next_step)


def failed(name: str, evidence: str, next_step: str) -> Check:
    """Return a check with the outcome FAIL."""
    return Check(name, Outcome.FAIL, evidence, next_step)
