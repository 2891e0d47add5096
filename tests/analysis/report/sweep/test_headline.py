"""The headlines of a sweep: what it may say without replicates, and the verdicts of its confirmation."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.ablation.confirmation import confirmation_of, read_confirmation
from analysis.ablation.evidence import Evidence
from analysis.report.sweep.files import sweep_note, write_sweep_report
from analysis.report.sweep.headline import headlines
from analysis.report.sweep.terminal import print_sweep_report
from analysis.statistics.verdicts import Verdict
from analysis.sweep.confirmation import Confirmation
from analysis.sweep.evidence import SweepEvidence, read_sweep
from analysis.sweep.findings import SweepFindings, sweep_findings
from analysis.sweep.next_steps.follow_up import confirm
from search_spaces import Metric, dump_ablation
from sweeps.console.output import open_console
from sweeps.store.store import Store
from tests.analysis.made_evidence import evidence_of, seeded
from tests.analysis.made_sweeps import made_sweep, peak, spec_of
from tests.fakes import run_sweep, space

NLL = Metric(name="val/nll", goal="minimize")


def made(at: float = 0.9) -> SweepEvidence:
    """Return a sweep of 40 runs; by val/nll, the best learning rate is far from the baseline's."""
    return made_sweep(lambda places, share, rng: 2.0 - peak(at)(places, share, rng), spec_of(metric=NLL))


def ablation_of(sweep: SweepEvidence, effect: float, spread: float = 0.01) -> Evidence:
    """Return a finished confirmation in which every finalist differs from the baseline by the effect."""
    score = seeded(effect, spread)
    return evidence_of(
        confirm(sweep), lambda design, arm, pair: score(design, "control" if arm == "baseline" else arm, pair)
    )


def found(sweep: SweepEvidence, confirmation: Confirmation | None = None) -> SweepFindings:
    return sweep_findings(sweep, repeats=2, confirmation=confirmation)


@pytest.mark.parametrize("at", [0.9, 0.7, 0.55])
def test_without_replicates_a_sweep_says_what_it_found_and_no_verdict(at: float) -> None:
    [top] = headlines(found(made(at)))
    assert (top.word, top.tone) == ("BEST FOUND", "even")
    assert "the best of 40 started runs" in top.sentence
    assert "better, as observed" in top.sentence
    assert "Nothing is known about other seeds" in top.wider
    assert "at least" in top.wider
    assert top.wider.endswith("sweeps confirm toy, on fresh seeds.")


def test_runs_that_were_stopped_count_as_tried() -> None:
    sweep = made_sweep(peak(0.9), space(runs=30))
    [top] = headlines(found(sweep))
    assert len(sweep.ranked) < 30
    assert "the best of 30 started runs" in top.sentence


@pytest.mark.parametrize(
    ("effect", "spread", "verdict"),
    [(-0.2, 0.01, Verdict.BETTER), (0.2, 0.01, Verdict.WORSE), (0.0, 0.05, Verdict.INCONCLUSIVE)],
)
def test_the_verdict_of_a_confirmation_is_the_headline(effect: float, spread: float, verdict: Verdict) -> None:
    sweep = made()
    confirmation = confirmation_of(ablation_of(sweep, effect, spread), sweep)
    tops = headlines(found(sweep, confirmation))
    assert [top.word for top in tops] == [verdict.value] * 3 + ["BEST FOUND"]
    assert sweep.best is not None
    first = confirmation.results[0]
    assert (first.best, first.run, first.pairs) == (True, f"run {sweep.best.number}", 10)
    assert first.delta == pytest.approx(effect, abs=0.05)
    assert first.interval is not None
    assert first.p is not None
    assert (first.interval.excludes(0.0) and first.p <= 0.05) == (verdict is not Verdict.INCONCLUSIVE)
    assert "10 fresh seeds for each recipe, adjusted for 3 finalists" in tops[0].wider
    assert "Nothing is known about other seeds" not in tops[-1].wider


def test_there_is_no_verdict_before_the_end_of_the_confirmation() -> None:
    sweep = made()
    whole = ablation_of(sweep, -0.2)
    begun = replace(whole, runs=whole.runs[:13], finals={number: whole.finals[number] for number in range(13)})
    tops = headlines(found(sweep, confirmation_of(begun, sweep)))
    assert [top.word for top in tops] == ["CONFIRMING", "BEST FOUND"]
    assert "13 of 40 runs have finished" in tops[0].sentence


def test_a_confirmation_of_other_finalists_is_no_verdict_on_a_later_best_run() -> None:
    confirmation = confirmation_of(ablation_of(made(0.1), -0.2), made(0.9))
    assert not confirmation.covers_best
    [top] = headlines(found(made(0.9), confirmation))
    assert top.word == "BEST FOUND"
    assert top.wider.startswith("toy-confirm compared other finalists")


def test_the_report_says_the_verdict_everywhere(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(runs=20), sqlite_url, tmp_path / "runs")
    sweep = read_sweep(sqlite_url, "toy")
    confirmation = replace(
        confirmation_of(ablation_of(made(), -0.2), made()), covers_best=True, others=("toy-confirm-2",)
    )
    findings = found(sweep, confirmation)
    report = write_sweep_report(sqlite_url, findings, tmp_path / "report", png=False)
    console = open_console(width=100, file=io.StringIO(), terminal=False)
    print_sweep_report(findings, console)
    assert isinstance(console.file, io.StringIO)
    texts = [path.read_text() for path in report.files if path.suffix in (".html", ".md")]
    for text in (*texts, sweep_note(findings), console.file.getvalue()):
        assert text.index("BETTER") < text.index("BEST FOUND")
        assert "toy-confirm-2" in text
    found_json = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found_json["headline"]["word"] == "BETTER"
    assert [one["verdict"] for one in found_json["confirmation"]["results"]] == ["BETTER"] * 3
    assert "sweeps report toy-confirm" in console.file.getvalue()


def test_a_confirmation_is_found_by_the_sweep_that_it_names(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(runs=20), sqlite_url, tmp_path / "runs")
    sweep = read_sweep(sqlite_url, "toy")
    assert read_confirmation(sqlite_url, sweep) is None
    with Store(sqlite_url) as store:
        for name, notes in {"mine": {}, "first": {"confirms": "toy"}, "second": {"confirms": "toy"}}.items():
            text = dump_ablation(confirm(sweep, name=name))
            store.put_sweep(name, "ablation", text, "test/accuracy", "maximize", 0, notes)
    confirmation = read_confirmation(sqlite_url, sweep)
    assert confirmation is not None
    assert (confirmation.name, confirmation.others) == ("first", ("second",))
    assert (confirmation.runs, confirmation.planned, confirmation.results) == (0, 40, ())
    assert confirmation.covers_best
