from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.ablation.arms.tuning_effort import SharedPoints, TuningEffort
from analysis.report.ablation.detail import fairness
from analysis.report.ablation.effort import effort_blocks, effort_sentence
from analysis.report.ablation.files import write_report
from analysis.report.blocks import Table
from analysis.statistics.best_of_n import Lead
from analysis.statistics.intervals import wilson
from search_spaces import Contrast
from tests.analysis.report_cases import CASES

CONTRAST = Contrast("b", {"a": -1.0, "b": 1.0})


def effort(lead: Lead, equal: bool = True, points: int = 12) -> TuningEffort:
    shared = SharedPoints(points, points / 2, wilson(points / 2, points) if points else None, equal)
    return TuningEffort(CONTRAST, lead, shared, {})


@pytest.mark.parametrize(
    ("lead", "words"),
    [
        (Lead(12, 1, 1, 1, 1.0, None), "b leads over a from the first try on (95 % interval 1)"),
        (Lead(12, 5, 2, None, 0.9, None), "b leads over a from 5 tries on (95 % interval 2 to more than 12)"),
        (Lead(12, None, 3, None, 0.4, 7), "a leads over b from 7 tries on"),
        (Lead(1, None, None, None, 0.0, None), "b and a have equally good best tries"),
    ],
)
def test_words_for_leads(lead: Lead, words: str) -> None:
    assert effort_sentence(effort(lead)) == f"{words}; b is better at 6 of 12 shared points."


def test_words_for_points() -> None:
    lead = Lead(12, 1, 1, 1, 1.0, None)
    own = effort_sentence(effort(lead, equal=False))
    assert own.endswith("6 of 12 shared points, which have the same place in the range of each arm.")
    assert effort_sentence(effort(lead, points=0)).endswith("; they share no point.")


def test_the_section_on_fair_tuning_has_it() -> None:
    findings = CASES["retuned"]()
    tables = [block for block in fairness(findings).blocks if isinstance(block, Table)]
    effort_table, fields = tables[-2:]
    assert effort_table.title == "How much tuning it took"
    [one] = findings.tuning_efforts
    [row] = effort_table.rows
    assert row[:2] == (one.contrast.name, "4")
    assert row[-1].startswith(f"{one.shared.better / one.shared.points:.2f} [")
    assert [cells[0] for cells in fields.rows] == ["control", "treatment"]
    assert effort_blocks(CASES["plain"]().tuning_efforts) == ()


def test_json_has_it(tmp_path: Path) -> None:
    findings = CASES["retuned"]()
    write_report(findings, tmp_path, png=False)
    [one] = json.loads((tmp_path / "report.json").read_text())["tuning_efforts"]
    assert one["lead"]["total"] == 4
    assert one["shared"]["points"] == findings.tuning_efforts[0].shared.points
    assert one["fields"].keys() == {"control", "treatment"}
