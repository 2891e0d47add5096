"""A report, section by section, in the order in which a reader asks."""

from __future__ import annotations

from analysis.ablation_findings import Findings
from analysis.sections.answer import VERDICT_HEAD, effects, header, pairs, verdict_row, verdicts
from analysis.sections.blocks import SYMBOLS, Section, drawings, with_own_names
from analysis.sections.detail import calibration, fairness, interactions, secondary, uncertainty
from analysis.sections.record import caveats, failures, health, reproduce

__all__ = ["SYMBOLS", "VERDICT_HEAD", "Section", "drawings", "sections", "verdict_row"]

_ALL = (
    header,
    verdicts,
    effects,
    pairs,
    calibration,
    secondary,
    interactions,
    fairness,
    uncertainty,
    health,
    failures,
    caveats,
    reproduce,
)


def sections(findings: Findings) -> tuple[Section, ...]:
    """Return the 13 sections of a report; every drawing has a name of its own."""
    return with_own_names([make(findings) for make in _ALL])
