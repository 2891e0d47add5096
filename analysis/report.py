"""An ablation or a sweep -> the files that present it. The same database gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.ablation_findings import Findings, find
from analysis.evidence import read_evidence
from analysis.figures import Drawing
from analysis.load import sweeps_frame
from analysis.markdown import escaped, markdown_table
from analysis.page import Headline, Page, Report, write_page
from analysis.paired import Verdict
from analysis.plain import to_json
from analysis.report_tables import pairs_csv, runs_csv
from analysis.sections import SYMBOLS, VERDICT_HEAD, drawings, sections, verdict_row
from analysis.sentences import number
from analysis.sweep_evidence import read_sweep
from analysis.sweep_findings import find_sweep
from analysis.sweep_report import write_sweep_report
from search_spaces import UsageError, dump_ablation, suggest

__all__ = ["FOLDER", "Report", "dashboard_note", "publish", "report", "write_report"]

FOLDER = Path("reports")
_TONES = dict.fromkeys(Verdict, "even") | {
    Verdict.BETTER: "good",
    Verdict.WORSE: "bad",
    Verdict.UNSTABLE: "bad",
    Verdict.NOT_COMPARABLE: "bad",
}
_IN_DASHBOARD = 3  # figures: it reads all that a study carries whenever it looks


def report(url: str, name: str, folder: Path | None = None) -> tuple[Path, ...]:
    """Write the report of an ablation or a sweep from the database alone.

    Args:
        url: Of the database.
        name: Of the ablation or the sweep.
        folder: Where to; None for `reports/NAME`.

    Returns:
        The paths written.

    Raises:
        UsageError: There is nothing of that name.
    """
    to = folder or FOLDER / name
    if kind_of(url, name) == "sweep":
        written = write_sweep_report(url, find_sweep(read_sweep(url, name)), to)
    else:
        written = write_report(find(read_evidence(url, name)), to)
    return (*written.files, *written.pictures)


def kind_of(url: str, name: str) -> str:
    """Return `sweep` or `ablation`.

    Raises:
        UsageError: There is nothing of that name.
    """
    kinds = dict(sweeps_frame(url)[["name", "kind"]].itertuples(index=False, name=None))
    if name not in kinds:
        raise UsageError(f"no sweep or ablation {name!r} in the database: {suggest(name, list(kinds))}")
    return str(kinds[name])


def write_report(findings: Findings, folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md``, ``pairs.csv``, ``runs.csv``, ``report.json`` and ``ablation.yaml``.

    Args:
        findings: What to say of an ablation.
        folder: Made when missing; files of these names are replaced.
        png: Whether the Markdown has its figures, as files in ``figures``, where a browser can draw them.
    """
    beside = {
        "pairs.csv": pairs_csv(findings),
        "runs.csv": runs_csv(findings),
        "report.json": _json(findings),
        "ablation.yaml": dump_ablation(findings.spec),
    }
    return write_page(_page(findings), beside, folder, png)


def dashboard_note(findings: Findings) -> str:
    """Return the Markdown that the dashboard shows: the verdicts, and their table."""
    lines = [f"# {escaped(findings.spec.question)}", ""]
    for claim, sentence in zip(findings.claims, findings.sentences, strict=True):
        lines += [f"**{SYMBOLS[claim.verdict]} {claim.verdict.value}** {escaped(sentence)}", ""]
    lines += markdown_table(VERDICT_HEAD, [verdict_row(claim) for claim in findings.claims])
    return "\n".join([*lines, "", "The whole report is among the artifacts: index.html."])


def publish(url: str, findings: Findings, written: Report) -> None:
    """Show the verdicts, the first figures and the files of a report in the Optuna dashboard over the database."""
    from sweeps.study_pages import push_report

    shown: dict[str, Any] = {one.name: one.titled for one in _for_dashboard(findings)}
    push_report(url, findings.spec.name, dashboard_note(findings), shown, written.files)


def _for_dashboard(findings: Findings) -> tuple[Drawing, ...]:
    return drawings(sections(findings)[2:4])[:_IN_DASHBOARD]


def _page(findings: Findings) -> Page:
    headlines = tuple(
        Headline(_TONES[one.verdict], SYMBOLS[one.verdict], one.verdict.value, text, wider or "")
        for one, text, wider in zip(findings.claims, findings.sentences, findings.wider, strict=True)
    )
    spec = findings.spec
    return Page("Ablation", spec.name, spec.question, headlines, _facts(findings), sections(findings))


def _facts(findings: Findings) -> tuple[tuple[str, str], ...]:
    metrics = findings.spec.metrics
    margin = "none" if metrics.margin is None else f"±{number(metrics.margin)}"
    return (
        ("metric", f"{metrics.primary} ({metrics.goal})"),
        ("margin", margin),
        ("pairs", str(findings.pairs)),
        ("design", " and ".join(findings.spec.designs)),
        ("runs", str(len(findings.runs))),
        ("training", f"{number(sum(run.seconds for run in findings.runs))} s"),
    )


def _json(findings: Findings) -> str:
    every = {name: getattr(findings, name) for name in type(findings).__dataclass_fields__ if name != "spec"}
    return to_json({"name": findings.spec.name, "question": findings.spec.question, **every})
