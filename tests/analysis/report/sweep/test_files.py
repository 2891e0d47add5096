from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from markdown_it import MarkdownIt
from optuna.artifacts import get_all_artifact_meta
from optuna_dashboard import get_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

from analysis.export import export_sweep
from analysis.figures import Drawing
from analysis.report import present
from analysis.report.blocks import CodeBlock, Notes, drawings
from analysis.report.page import Report
from analysis.report.sweep.files import publish_sweep, sweep_note, write_sweep_report
from analysis.report.sweep.headline import headlines
from analysis.report.sweep.sections import sweep_sections
from analysis.report.sweep.terminal import print_diagnosis, print_sweep_report
from analysis.sweep.best_quarter import best_quarter, window
from analysis.sweep.evidence import read_sweep
from analysis.sweep.findings import SweepFindings, sweep_findings
from search_spaces import SpaceSpec, UsageError, parse_space
from sweeps.console.output import open_console
from sweeps.run_state import RunState
from tests.analysis.made_sweeps import made_sweep, peak
from tests.analysis.report_cases import ATTACKS
from tests.analysis.sweep_cases import SWEEPS as CASES
from tests.fakes import run_sweep, space

NAMES = ["index.html", "report.md", "report.json", "runs.csv", "epochs.csv", "space.yaml"]
NEVER = re.compile(r"\b(significant\w*|no effect|trends?|proves?|marginal\w*)\b", re.IGNORECASE)


@dataclass
class Made:
    """A finished sweep and its report."""

    url: str
    findings: SweepFindings
    report: Report


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    found = {}
    for case, (spec, runner) in CASES.items():
        folder = tmp_path_factory.mktemp("sweep")
        url = f"sqlite:///{folder / 'sweeps.db'}"
        run_sweep(spec, url, folder / "c", runner)
        findings = sweep_findings(read_sweep(url, "toy"), repeats=3)
        found[case] = Made(url, findings, write_sweep_report(url, findings, folder / "page", png=False))
    return found


def text(one: Made, name: str) -> str:
    return (one.report.folder / name).read_text(encoding="utf-8")


def without_plotly(page: str) -> str:
    return re.sub(r"(?s)<script>.{1000000,}?</script>", "", page)


def pictures(one: Made) -> tuple[Drawing, ...]:
    return drawings(sweep_sections(one.findings))


@pytest.mark.parametrize("case", CASES)
def test_the_folder_has_what_export_writes_and_the_report(made: dict[str, Made], case: str, tmp_path: Path) -> None:
    one = made[case]
    names = [path.name for path in one.report.files]
    assert names == NAMES + (["best.yaml"] if one.findings.best else [])
    assert one.report.page.stat().st_size < 8_000_000
    for path in export_sweep(one.findings.spec, one.url, tmp_path):
        assert path.read_bytes() == (one.report.folder / path.name).read_bytes()


@pytest.mark.parametrize("case", ["plain", "hostile"])
def test_the_same_database_gives_the_same_bytes(made: dict[str, Made], case: str, tmp_path: Path) -> None:
    one = made[case]
    again = write_sweep_report(one.url, sweep_findings(read_sweep(one.url, "toy"), repeats=3), tmp_path, png=False)
    for old, new in zip(one.report.files, again.files, strict=True):
        assert old.read_bytes() == new.read_bytes(), old.name


@pytest.mark.parametrize("case", CASES)
def test_words_that_are_never_used(made: dict[str, Made], case: str) -> None:
    for name in NAMES:
        page = text(made[case], name)
        assert not NEVER.findall(without_plotly(page) if name == "index.html" else page), name
    assert not NEVER.findall(sweep_note(made[case].findings))


@pytest.mark.parametrize("case", CASES)
def test_sections_come_in_order_and_say_why_they_are_empty(made: dict[str, Made], case: str) -> None:
    parts = sweep_sections(made[case].findings)
    assert [part.number for part in parts] == list(range(13))
    assert all(part.blocks or part.why.endswith(".") for part in parts)


@pytest.mark.parametrize("case", CASES)
def test_every_figure_has_a_title_axes_and_a_reading(made: dict[str, Made], case: str) -> None:
    for drawing in pictures(made[case]):
        assert re.fullmatch(r"[a-z][a-z0-9-]*", drawing.name)
        assert drawing.title
        assert drawing.reading.endswith(".")
        assert "\n" not in drawing.reading
        layout = json.loads(drawing.figure.to_json())["layout"]
        assert layout["xaxis"]["title"]["text"], drawing.name
        assert layout["yaxis"]["title"]["text"] or layout["yaxis"]["ticktext"], drawing.name


def test_every_figure_of_a_whole_sweep_is_there(made: dict[str, Made]) -> None:
    names = [drawing.name for drawing in pictures(made["plain"])]
    assert [name for name in names if not name.startswith("slice")] == [
        "importance",
        "parallel",
        "contour",
        "curves",
        "survivors",
        "rung-ranks",
        "best-of-n",
        "ledger",
        "findings",
    ]
    assert sum(name.startswith("slice-") for name in names) == len(space().search)


@pytest.mark.parametrize("case", CASES)
def test_marks_differ_by_more_than_colour(made: dict[str, Made], case: str) -> None:
    for drawing in pictures(made[case]):
        traces = json.loads(drawing.figure.to_json())["data"]
        looks = [
            (
                str(trace.get("line", {}).get("dash")),
                str(trace.get("marker", {}).get("symbol")),
                str(trace.get("marker", {}).get("pattern", {}).get("shape")),
            )
            for trace in traces
            if trace.get("name") and trace.get("showlegend") is not False
        ]
        assert len(set(looks)) == len(looks), drawing.name


@pytest.mark.parametrize("case", CASES)
def test_the_answer_and_every_check_are_said_everywhere(made: dict[str, Made], case: str) -> None:
    one = made[case]
    page = html.unescape(without_plotly(text(one, "index.html")))
    answer, found = headlines(one.findings)[0], json.loads(text(one, "report.json"))
    assert answer.sentence in page
    assert found["headline"]["sentence"] == answer.sentence
    for check in one.findings.checks:
        assert check.evidence in page
        assert check.next_step in page
    assert [check["outcome"] for check in found["checks"]] == [check.outcome.value for check in one.findings.checks]
    note = sweep_note(one.findings)
    assert note.count("\n| ") == 2 + len(one.findings.checks)


def test_checks_to_act_on_come_first(made: dict[str, Made]) -> None:
    [notes] = [block for block in sweep_sections(made["plain"].findings)[2].blocks if isinstance(block, Notes)]
    words = [note.word for note in notes.items]
    assert words == sorted(words, key=["FAIL", "WARN", "PASS"].index)


def test_the_winner_can_be_pasted(made: dict[str, Made]) -> None:
    one = made["plain"]
    [code] = [block for block in sweep_sections(one.findings)[1].blocks if isinstance(block, CodeBlock)]
    assert code.text + "\n" == text(one, "best.yaml")
    assert parse_space(code.text, "f.yaml", "toy").recipe == one.findings.best[0].run.recipe


def test_suggested_ranges_can_be_pasted() -> None:
    findings = sweep_findings(made_sweep(peak(1.0)), repeats=2)
    [code] = [block for block in sweep_sections(findings)[2].blocks if isinstance(block, CodeBlock)]
    lines = [line for line in text_of(findings.spec).splitlines() if not re.match(r"  \w+\.|search:", line)]
    assert parse_space("\n".join([*lines, code.text]), "f.yaml", "toy").search == findings.ranges


def text_of(spec: SpaceSpec) -> str:
    from search_spaces import dump_space

    return dump_space(spec)


def test_json_has_no_nan_and_spells_recipes_and_ranges(made: dict[str, Made]) -> None:
    found = json.loads(text(made["plain"], "report.json"), parse_constant=pytest.fail)
    best = made["plain"].findings.best[0].run
    assert found["best"][0]["run"]["recipe"]["optimizer"]["lr"] == best.recipe.optimizer.lr
    assert found["curves"][str(best.number)] == {str(epoch): value for epoch, value in best.curve.items()}
    assert {"name", "question", "headline", "best_of_n", "caveats", "commands", "ledger"} <= found.keys()


def test_hostile_texts_are_dead_in_html(made: dict[str, Made]) -> None:
    page = without_plotly(text(made["hostile"], "index.html"))
    assert len(re.findall(r"<script\b", page)) == 2
    assert "<img" not in page
    assert not re.findall(r"<[^>]*\bon\w+\s*=", page)
    assert not re.findall(r'href="(?!#|data:,)', page)
    assert html.escape(ATTACKS[1]) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


def test_hostile_texts_are_dead_in_figures(made: dict[str, Made]) -> None:
    for drawing in pictures(made["hostile"]):
        assert not re.search(r"<(?!br>)", json.dumps(json.loads(drawing.figure.to_json()))), drawing.name


def test_hostile_texts_are_dead_in_markdown(made: dict[str, Made]) -> None:
    for page in (text(made["hostile"], "report.md"), sweep_note(made["hostile"].findings)):
        for dialect in (MarkdownIt("commonmark").enable("table"), MarkdownIt("gfm-like", {"linkify": False})):
            assert not re.findall(r"<(?:script|img|a|b)\b", dialect.render(page))


def test_hostile_texts_are_dead_in_csv(made: dict[str, Made]) -> None:
    rows = list(csv.DictReader(io.StringIO(text(made["hostile"], "runs.csv"))))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if re.match(r"[=@\t\r]|[+-](?![\d.])", cell)]


def test_one_command_writes_the_report_of_either_kind(
    made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made["nll"]
    monkeypatch.setattr(
        present,
        "sweep_findings",
        lambda evidence, confirmation: sweep_findings(evidence, repeats=3, confirmation=confirmation),
    )
    monkeypatch.setattr(present, "publish_sweep", lambda *found: None)  # this sweep has no study
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda drawings, folder: "no browser was asked")
    present.present(one.url, "toy", open_console(io.StringIO()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*NAMES, "best.yaml"])
    assert present.kind_of(one.url, "toy") == "sweep"
    with pytest.raises(UsageError, match="no sweep or ablation 'toi'"):
        present.present(one.url, "toi", open_console(io.StringIO()), tmp_path)


def test_the_dashboard_gets_the_headline_three_figures_and_the_files(made: dict[str, Made]) -> None:
    one = made["plain"]
    optuna.create_study(study_name="toy", storage=one.url, load_if_exists=True)
    publish_sweep(one.url, one.findings, one.report)
    publish_sweep(one.url, one.findings, one.report)  # publishing twice is the same as once
    study = optuna.load_study(study_name="toy", storage=one.url)
    artifacts = get_all_artifact_meta(study)
    assert sorted(found.filename for found in artifacts) == sorted(path.name for path in one.report.files)
    assert get_note(study) == sweep_note(one.findings)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    assert set(get_plotly_graph_objects(attributes)) == {"importance", "parallel", "curves"}


def said(print_it: Any, *arguments: Any) -> str:
    console = open_console(width=100, file=io.StringIO(), terminal=False)
    print_it(arguments[0], console, *arguments[1:])
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_the_terminal_says_the_answer_and_what_to_do(made: dict[str, Made], case: str) -> None:
    one = made[case]
    words = " ".join(said(print_sweep_report, one.findings, one.report.page).split())
    assert headlines(one.findings)[0].sentence in words
    for check in one.findings.checks:
        assert (check.evidence in words) == (check.outcome.value != "PASS"), check.name
    assert "next sweeps " in words
    assert not NEVER.findall(words)


@pytest.mark.parametrize("case", CASES)
def test_the_terminal_says_the_diagnosis(made: dict[str, Made], case: str) -> None:
    findings = made[case].findings
    whole = said(print_diagnosis, findings, None)
    assert all(share.code.value in whole for share in findings.diagnosis.shares)
    failed = [state for state in findings.data.states if state is RunState.FAILED]
    assert (
        f"{len(failed)} of {len(findings.data.states)} run" in whole and "the first error: sweeps show" in whole
    ) == (failed != [])
    for number in findings.data.numbers:
        words = " ".join(said(print_diagnosis, findings, number).split())
        every = findings.findings.get(number, ())
        assert all(one.evidence in words for one in every[:3])
        assert (f"{len(every) - 3} more" in words) == (len(every) > 3)
    with pytest.raises(UsageError, match="has no run 999"):
        said(print_diagnosis, findings, 999)


def test_headlines(made: dict[str, Made]) -> None:
    assert headlines(made["broken"].findings)[0].word == "NO WINNER"
    assert headlines(made["one recipe"].findings)[0].word == "BASELINE IS BEST"


def test_the_best_quarter() -> None:
    assert best_quarter([0.1, None, 0.9, 0.5, 0.9], "maximize") == (2,)
    assert best_quarter([0.1, None, 0.9, 0.5, 0.9, 0.2], "minimize") == (0, 5)
    assert best_quarter([None], "minimize") == ()


def test_a_window_leaves_out_what_crowds_the_rest() -> None:
    scores = [0.60, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66, 0.10]
    found = window(scores, "maximize")
    assert found is not None
    assert (found.high, found.beyond) == (0.66, 1)
    assert 0.10 < found.low < 0.60
    mirrored = window([-score for score in scores], "minimize")
    assert mirrored is not None
    assert (mirrored.low, mirrored.high, mirrored.beyond) == pytest.approx((-found.high, -found.low, 1))
    assert window(scores[:-1], "maximize") is None
    assert window([0.5] * 9, "maximize") is None
