from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from analysis.ablation.findings import ablation_findings
from analysis.report.ablation.files import dashboard_note, write_report
from analysis.report.ablation.sections import sections
from analysis.report.markdown import escaped, fenced
from analysis.report.page import Report
from analysis.report.to_json import to_json
from search_spaces import parse_ablation
from tests.analysis.made_evidence import evidence_of, seeded, spec_of
from tests.analysis.report_cases import ATTACKS, CASES

NAMES = [
    "index.html",
    "report.md",
    "pairs.csv",
    "runs.csv",
    "report.json",
    "ablation.yaml",
    "report.tex",
    "references.bib",
]
NEVER = re.compile(r"\b(significant\w*|no effect|trends?|proves?|marginal\w*)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    folder = tmp_path_factory.mktemp("reports")
    return {case: write_report(make(), folder / case, png=False) for case, make in CASES.items()}


def text(report: Report, name: str) -> str:
    return (report.folder / name).read_text(encoding="utf-8")


def without_plotly(page: str) -> str:
    """Return the page without the source of plotly.js."""
    return max((re.sub(r"(?s)<script>.{1000000,}?</script>", "", page), ""), key=len)


@pytest.mark.parametrize("case", CASES)
def test_all_files_are_there_and_small(written: dict[str, Report], case: str) -> None:
    report = written[case]
    assert [path.name for path in report.files] == NAMES
    assert report.page.name == "index.html"
    assert report.page.stat().st_size < 8_000_000


@pytest.mark.parametrize("case", CASES)
def test_the_same_findings_give_the_same_bytes(written: dict[str, Report], case: str, tmp_path: Path) -> None:
    again = write_report(CASES[case](), tmp_path, png=False)
    for old, new in zip(written[case].files, again.files, strict=True):
        assert old.read_bytes() == new.read_bytes(), old.name


@pytest.mark.parametrize("case", CASES)
def test_words_that_are_never_used(written: dict[str, Report], case: str) -> None:
    for name in NAMES:
        page = text(written[case], name)
        page = without_plotly(page) if name == "index.html" else page
        assert not NEVER.findall(page), name


@pytest.mark.parametrize("case", CASES)
def test_sections_come_in_order_and_say_why_they_are_empty(case: str) -> None:
    parts = sections(CASES[case]())
    assert [part.number for part in parts] == list(range(13))
    assert all(part.blocks or part.why.endswith(".") for part in parts)


@pytest.mark.parametrize("case", CASES)
def test_every_verdict_is_said_everywhere(written: dict[str, Report], case: str) -> None:
    findings = CASES[case]()
    page, markdown = text(written[case], "index.html"), text(written[case], "report.md")
    found = json.loads(text(written[case], "report.json"))
    for claim, sentence in zip(findings.claims, findings.sentences, strict=True):
        assert html.escape(sentence, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
        assert escaped(sentence) in markdown
        assert escaped(sentence) in dashboard_note(findings)
        assert claim.verdict.value in page
    assert found["sentences"] == list(findings.sentences)
    assert [one["verdict"] for one in found["claims"]] == [one.verdict.value for one in findings.claims]


def test_the_page_loads_nothing(written: dict[str, Report]) -> None:
    page = text(written["plain"], "index.html")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().partition(" ")[::2] for rule in html.unescape(policy[1]).split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"('sha256-[A-Za-z0-9+/=]{44}' ?){2}", rules["script-src"])
    assert "unsafe-eval" not in policy[1]
    ours = without_plotly(page)
    assert len(ours) < len(page) - 4_000_000
    assert not re.findall(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", ours)
    assert page.count("<script") - page.count("<script>") >= 1


def test_hostile_texts_are_dead_in_html(written: dict[str, Report]) -> None:
    page = without_plotly(text(written["hostile"], "index.html"))
    assert len(re.findall(r"<script\b", page)) == 2  # the data of the figures, and the script that draws them
    assert "<img" not in page
    assert not re.findall(r"<[^>]*\bon\w+\s*=", page)
    assert not re.findall(r'href="(?!#|data:,)', page)


def test_hostile_texts_are_dead_in_markdown(written: dict[str, Report]) -> None:
    markdown = text(written["hostile"], "report.md")
    for page in (markdown, dashboard_note(CASES["hostile"]())):
        for dialect in (MarkdownIt("commonmark").enable("table"), MarkdownIt("gfm-like", {"linkify": False})):
            shown = dialect.render(page)
            assert not re.findall(r"<(?:script|img|a|b)\b", shown)
            assert html.escape(ATTACKS[1]) in shown
            assert html.escape(ATTACKS[5], quote=False) in shown.replace("&quot;", '"')


def test_hostile_texts_are_dead_in_csv(written: dict[str, Report]) -> None:
    for name in ("pairs.csv", "runs.csv"):
        rows = list(csv.DictReader(io.StringIO(text(written["hostile"], name))))
        assert rows
        cells = [cell for row in rows for cell in row.values()]
        assert not [cell for cell in cells if re.match(r"[=@\t\r]|[+-](?![\d.])", cell)]
        assert {row["arm"] for row in rows} >= {f"'{ATTACKS[0]}", ATTACKS[1]}


def test_pairs_have_a_line_for_each_arm_of_each_design(written: dict[str, Report]) -> None:
    findings = CASES["retuned"]()
    rows = list(csv.DictReader(io.StringIO(text(written["retuned"], "pairs.csv"))))
    assert len(rows) == 2 * 4 * 2
    arms = {(arm.design, arm.arm): arm.values for arm in findings.arms}
    for row in rows:
        assert float(row["test/nll"]) == arms[row["design"], row["arm"]][int(row["pair"])]
        run = findings.runs[int(row["run"])]
        assert (str(run.seed), run.state.value) == (row["seed"], row["state"])
    every = list(csv.DictReader(io.StringIO(text(written["retuned"], "runs.csv"))))
    assert [int(row["run"]) for row in every] == list(range(len(findings.runs)))
    assert every[0]["budget.epochs"] == "3"


def test_json_has_no_nan_and_sorted_keys(written: dict[str, Report]) -> None:
    content = text(written["hostile"], "report.json")
    found = json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert json.dumps(found, indent=1, sort_keys=True) + "\n" == content
    assert None in found["arms"][3]["values"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("largest", [1e100, -1e100])
def test_the_largest_numbers_and_infinite_secondary_metrics(largest: float, tmp_path: Path) -> None:
    evidence = evidence_of(spec_of(), seeded(0.1))
    finals = {
        run.number: {
            **evidence.finals[run.number],
            "test/accuracy": math.inf,
            # the largest number: finite ones beyond it are read as it
            **({"test/nll": largest} if run.arm == "treatment" and (run.pair or 0) % 2 else {}),
        }
        for run in evidence.runs
    }
    report = write_report(ablation_findings(replace(evidence, finals=finals, predictions={})), tmp_path, png=False)
    pages = {name: without_plotly(text(report, name)) for name in NAMES}
    json.loads(pages["report.json"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for name, page in pages.items():
        assert not re.findall(r"(?<![A-Za-z])nan(?![A-Za-z])", page), name
    assert "1e+100" in pages["pairs.csv"]


def test_what_has_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON for object"):
        to_json(object())


def test_the_ablation_can_be_read_again(written: dict[str, Report]) -> None:
    findings = CASES["hostile"]()
    assert parse_ablation(text(written["hostile"], "ablation.yaml"), "f.yaml", "toy") == findings.spec


def test_markdown_says_why_it_has_no_figures(written: dict[str, Report]) -> None:
    assert "The figures are omitted here because they were not requested" in text(written["plain"], "report.md")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("1. one", "1. one"),
        ("- x", "- x"),
        ("-0.5", "-0.5"),
        ("# x", "# x"),
        ("===", "==="),
        ("a\n\nb", "a b"),
        ("www.x.org http://x.org a@b.org", "www.x.org http://x.org a@b.org"),
        ("&amp; \\ `c` *e* _u_ ~~s~~", "&amp;amp; \\ `c` *e* _u_ ~~s~~"),
    ],
)
def test_escaped_text_is_shown_letter_by_letter(content: str, shown: str) -> None:
    assert MarkdownIt("commonmark").enable("table").render(escaped(content)) == f"<p>{shown}</p>\n"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a ``` b") == "````\na ``` b\n````"
