"""Write the report of a sweep to files and to the dashboard. The same database gives the same bytes."""

from pathlib import Path
from typing import Any

from analysis.export import export_texts
from analysis.figures import Drawing
from analysis.report.blocks import drawings
from analysis.report.markdown import escaped, markdown_table
from analysis.report.page import Headline, Page, Report, write_page
from analysis.report.sweep.headline import SIGNS, headlines, question
from analysis.report.sweep.sections import sweep_sections
from analysis.report.to_json import run_facts, to_json
from analysis.sweep.findings import SweepFindings
from analysis.wording import number
from search_spaces.values import counted
from sweeps.run_state import RunState

# Figures in the dashboard: few, because it reads all figures of a study on every refresh.
_IN_DASHBOARD = ("importance", "curves", "parallel")
# Keys of a run in report.json, which users read: a new database column must not add a key.
_RUN = ("number", "state", "epoch", "value", "seconds", "seed", "recipe", "recipe_hash", "values", "error", "curve")
_CHECK_HEAD = ("check", "outcome", "evidence", "next step")


def write_sweep_report(url: str, findings: SweepFindings, folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md``, ``report.json`` and what `analysis.export.export_sweep` writes.

    Args:
        url: URL of the database of the sweep, for the CSV files.
        findings: Findings of the sweep.
        folder: Target folder, created if missing; existing files are replaced.
        png: Whether to write the figures of the Markdown as PNG files to ``figures``, if a browser is available.
    """
    beside = {"report.json": _json(findings), **export_texts(findings.spec, url)}
    return write_page(sweep_page(findings), beside, folder, png)


def sweep_page(findings: SweepFindings) -> Page:
    """Return the content of the report of a sweep."""
    parts = sweep_sections(findings)
    return Page("Sweep", findings.spec.name, question(findings), headlines(findings), _facts(findings), parts)


def sweep_note(findings: SweepFindings) -> str:
    """Return the Markdown note for the dashboard: the headlines and the table of checks."""
    rows = [
        (one.name, f"{SIGNS[one.outcome]} {one.outcome.value}", one.evidence, one.next_step) for one in findings.checks
    ]
    return "\n".join(
        [
            f"# {escaped(question(findings))}",
            "",
            *(line for top in headlines(findings) for line in (_answer(top), "")),
            *markdown_table(_CHECK_HEAD, rows),
            "",
            "The full report is in the artifacts: index.html.",
        ]
    )


def _answer(top: Headline) -> str:
    return f"**{top.symbol} {top.word}** {escaped(f'{top.sentence} {top.wider}'.strip())}"


def publish_sweep(url: str, findings: SweepFindings, written: Report) -> None:
    """Publish the headline, the checks, three figures and the files of a report in the Optuna dashboard."""
    from sweeps.study.dashboard import push_report

    shown: dict[str, Any] = {one.name: one.titled for one in _for_dashboard(findings)}
    push_report(url, findings.spec.name, sweep_note(findings), shown, written.files)


def _for_dashboard(findings: SweepFindings) -> tuple[Drawing, ...]:
    return tuple(one for one in drawings(sweep_sections(findings)) if one.name in _IN_DASHBOARD)


def _facts(findings: SweepFindings) -> tuple[tuple[str, str], ...]:
    spec = findings.spec
    complete = sum(row.runs for row in findings.ledger if row.state is RunState.COMPLETE)
    return (
        ("metric", f"{spec.metric.name} ({spec.metric.goal})"),
        ("searched", counted(len(spec.search), "field")),
        ("runs", f"{len(findings.data.numbers)} of {spec.runs}"),
        ("complete", str(complete)),
        (f"{spec.recipe.budget.unit}s", f"{findings.epochs_spent}, {findings.epochs_saved} saved"),
        ("training", f"{number(sum(row.seconds for row in findings.ledger))} s"),
    )


def _json(findings: SweepFindings) -> str:
    every = {name: getattr(findings, name) for name in type(findings).__dataclass_fields__ if name != "spec"}
    every["best"] = [{**vars(one), "run": run_facts(one.run, _RUN, findings.spec)} for one in findings.best]
    every["failures"] = [run_facts(run, _RUN, findings.spec) for run in findings.failures]
    facts = {"name": findings.spec.name, "question": question(findings), "headline": headlines(findings)[0]}
    return to_json({**facts, **every})
