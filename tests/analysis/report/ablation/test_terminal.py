from __future__ import annotations

import io
from pathlib import Path

import pytest

from analysis.report.ablation.terminal import next_step, print_verdicts
from sweeps.console.output import open_console
from tests.analysis.made_evidence import seeded, spec_of
from tests.analysis.report_cases import CASES, LOOKS, findings_of


def printed(case: str, width: int = 110) -> str:
    out = io.StringIO()
    print_verdicts(CASES[case](), open_console(out, width=width), Path("reports/toy/index.html"))
    return out.getvalue()


def test_sentences_table_and_place() -> None:
    shown = printed("plain")
    [sentence] = CASES["plain"]().sentences
    assert sentence in " ".join(shown.split())
    assert shown.startswith("▲ BETTER")
    for word in ("contrast", "matched", "10 of 10", "sign-flip p", "p (Holm)", "report   reports/toy/index.html"):
        assert word in shown
    assert "next" not in shown


def test_no_word_of_the_table_is_cut_at_80_columns() -> None:
    shown = printed("plain", width=80)
    for word in ("contrast", "interval", "p (Holm)", "▲ BETTER"):
        assert word in shown.partition("contrast")[1] + shown.partition("contrast")[2]
    assert "matched" not in shown
    assert "matched" in printed("retuned", width=80)


def test_names_are_no_markup() -> None:
    shown = printed("hostile", width=240)
    assert "[x](javascript:window.__pwned=1)" in shown
    assert "CONFOUNDED BY INSTABILITY" in shown


@pytest.mark.parametrize("case", CASES)
def test_every_case_fits_a_narrow_terminal(case: str) -> None:
    assert printed(case, width=60)


def test_inconclusive_is_followed_by_the_pairs_it_needs() -> None:
    findings = findings_of(spec_of(), seeded(0.0, spread=0.3))
    needed = findings.claims[0].comparison.needed
    assert next_step(findings, Path("reports/toy/index.html")) == (
        f"sweeps ablate reports/toy/ablation.yaml --name toy --add-pairs {needed}"
    )


def test_planned_looks_that_are_over_need_a_new_ablation() -> None:
    step = next_step(findings_of(spec_of(LOOKS), seeded(0.0, spread=0.3)))
    assert step is not None
    assert "--name toy_2 --seed 1" in step
    assert "--add-pairs" not in step


def test_more_pairs_do_not_help_where_something_is_broken() -> None:
    assert next_step(CASES["hostile"]()) is None
    assert next_step(CASES["identical"]()) is None
