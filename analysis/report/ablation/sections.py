"""All sections of the report of an ablation, in order."""

from dataclasses import replace

from analysis.ablation.findings import AblationFindings
from analysis.report.ablation.appendix import caveats, failures, health, reproduce
from analysis.report.ablation.detail import calibration, fairness, interactions, secondary, uncertainty
from analysis.report.ablation.overview import effects, header, pairs, verdicts
from analysis.report.blocks import Section, with_own_names

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


def sections(findings: AblationFindings) -> tuple[Section, ...]:
    """Return the 13 sections of a report, without calibration if the task is no classifier.

    All drawings have unique names.
    """
    shown = [make for make in _ALL if make is not calibration or findings.classifies]
    return with_own_names([replace(make(findings), number=number) for number, make in enumerate(shown)])
