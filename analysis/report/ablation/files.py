"""Write the report of an ablation to files and to the dashboard. The same database gives the same bytes."""

from pathlib import Path
from typing import Any

from analysis.ablation.findings import AblationFindings
from analysis.figures import Drawing
from analysis.report.ablation.overview import SYMBOLS, VERDICT_HEAD, verdict_row
from analysis.report.ablation.sections import sections
from analysis.report.ablation.tables import pairs_csv, runs_csv
from analysis.report.blocks import drawings
from analysis.report.markdown import escaped, markdown_table
from analysis.report.page import Headline, Page, Report, write_page
from analysis.report.to_json import run_facts, to_json
from analysis.statistics.paired import Verdict
from analysis.wording import number
from search_spaces import dump_ablation

TONES = dict.fromkeys(Verdict, "even") | {
    Verdict.BETTER: "good",
    Verdict.WORSE: "bad",
    Verdict.UNSTABLE: "bad",
    Verdict.NOT_COMPARABLE: "bad",
}
# Keys of a run in report.json, which users read: a new database column must not add a key.
_PLACE = ("number", "arm", "pair", "design")
_RUN = (*_PLACE, "state", "epoch", "seconds", "seed", "attempts", "recipe", "fingerprint", "error")
_IN_DASHBOARD = 3  # figures: few, because the dashboard reads all figures of a study on every refresh


def write_report(findings: AblationFindings, folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md``, ``pairs.csv``, ``runs.csv``, ``report.json`` and ``ablation.yaml``.

    Args:
        findings: Findings of the ablation.
        folder: Target folder, created if missing; existing files are replaced.
        png: Whether to write the figures of the Markdown as PNG files to ``figures``, if a browser is available.
    """
    beside = {
        "pairs.csv": pairs_csv(findings),
        "runs.csv": runs_csv(findings),
        "report.json": _json(findings),
        "ablation.yaml": dump_ablation(findings.spec),
    }
    return write_page(_page(findings), beside, folder, png)


def dashboard_note(findings: AblationFindings) -> str:
    """Return the Markdown note for the dashboard: the verdicts and their table."""
    lines = [f"# {escaped(findings.spec.question)}", ""]
    for claim, sentence in zip(findings.claims, findings.sentences, strict=True):
        lines += [f"**{SYMBOLS[claim.verdict]} {claim.verdict.value}** {escaped(sentence)}", ""]
    lines += markdown_table(VERDICT_HEAD, [verdict_row(claim) for claim in findings.claims])
    return "\n".join([*lines, "", "The full report is in the artifacts: index.html."])


def publish(url: str, findings: AblationFindings, written: Report) -> None:
    """Publish the verdicts, the first figures and the files of a report in the Optuna dashboard of the database."""
    from sweeps.study.dashboard import push_report

    shown: dict[str, Any] = {one.name: one.titled for one in _for_dashboard(findings)}
    push_report(url, findings.spec.name, dashboard_note(findings), shown, written.files)


def _for_dashboard(findings: AblationFindings) -> tuple[Drawing, ...]:
    return drawings(sections(findings)[2:4])[:_IN_DASHBOARD]


def _page(findings: AblationFindings) -> Page:
    headlines = tuple(
        Headline(TONES[one.verdict], SYMBOLS[one.verdict], one.verdict.value, text, wider or "")
        for one, text, wider in zip(findings.claims, findings.sentences, findings.wider, strict=True)
    )
    spec = findings.spec
    return Page("Ablation", spec.name, spec.question, headlines, _facts(findings), sections(findings))


def _facts(findings: AblationFindings) -> tuple[tuple[str, str], ...]:
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


def _json(findings: AblationFindings) -> str:
    every = {name: getattr(findings, name) for name in type(findings).__dataclass_fields__ if name != "spec"}
    every |= {name: [run_facts(run, _RUN, findings.spec.space) for run in every[name]] for name in ("runs", "failures")}
    return to_json({"name": findings.spec.name, "question": findings.spec.question, **every})
