"""All sections of the report of a sweep, in order."""

from analysis.report.blocks import Section, with_own_names
from analysis.report.sweep.appendix import caveats, diagnosis, failures, reproduce
from analysis.report.sweep.importance import good_runs, importances
from analysis.report.sweep.overview import best_runs, checks, searched
from analysis.report.sweep.trainings import best_of_runs, costs, curves, stopping
from analysis.sweep.findings import SweepFindings

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
    """Return the 13 sections of a report; all drawings have unique names."""
    return with_own_names([make(findings) for make in _ALL])
