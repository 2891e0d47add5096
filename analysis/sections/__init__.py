"""A report, section by section, in the order in which a reader asks."""

from __future__ import annotations

from dataclasses import replace

from analysis.ablation_findings import Findings
from analysis.figures import Drawing
from analysis.sections.answer import VERDICT_HEAD, effects, header, pairs, verdict_row, verdicts
from analysis.sections.blocks import SYMBOLS, Block, Pictures, Section
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
    taken: set[str] = set()
    return tuple(_with_own_names(make(findings), taken) for make in _ALL)


def drawings(report: tuple[Section, ...]) -> tuple[Drawing, ...]:
    """Every drawing of a report, in order."""
    return tuple(
        one for part in report for block in part.blocks if isinstance(block, Pictures) for one in block.drawings
    )


def _with_own_names(part: Section, taken: set[str]) -> Section:
    """Arms whose names differ by punctuation alone would give two drawings one id."""

    def own(drawing: Drawing) -> Drawing:
        name, count = drawing.name[:60], 1
        while name in taken:
            count += 1
            name = f"{drawing.name[:60]}-{count}"
        taken.add(name)
        return replace(drawing, name=name)

    def renamed(block: Block) -> Block:
        return Pictures(tuple(own(one) for one in block.drawings)) if isinstance(block, Pictures) else block

    return replace(part, blocks=tuple(renamed(block) for block in part.blocks))
