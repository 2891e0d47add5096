"""The report of a sweep, section by section, in the order in which a reader asks."""

from __future__ import annotations

from analysis.sections.blocks import Section, with_own_names
from analysis.sweep_findings import SweepFindings
from analysis.sweep_sections.answer import best_runs, checks, searched
from analysis.sweep_sections.course import best_of_runs, costs, curves, stopping
from analysis.sweep_sections.fields import good_runs, importances
from analysis.sweep_sections.record import caveats, diagnosis, failures, reproduce

__all__ = ["sweep_sections"]

_ALL = (
    searched,
    best_runs,
    checks,
    importances,
    good_runs,
    curves,
    stopping,
    best_of_runs,
    costs,
    diagnosis,
    failures,
    caveats,
    reproduce,
)


def sweep_sections(findings: SweepFindings) -> tuple[Section, ...]:
    """Return the 13 sections of a report; every drawing has a name of its own."""
    return with_own_names([make(findings) for make in _ALL])
