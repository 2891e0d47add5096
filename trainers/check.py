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
        fix: Suggested fix; empty for PASS.
    """

    name: str
    outcome: Outcome
    evidence: str
    fix: str = ""


def passed(name: str, evidence: str) -> Check:
    """Return a check with the outcome PASS."""
    return Check(name, Outcome.PASS, evidence)


def warned(name: str, evidence: str, fix: str) -> Check:
    """Return a check with the outcome WARN."""
    return Check(name, Outcome.WARN, evidence, fix)


def failed(name: str, evidence: str, fix: str) -> Check:
    """Return a check with the outcome FAIL."""
    return Check(name, Outcome.FAIL, evidence, fix)
