"""One ablation -> the files that present it. The same database gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.ablation_findings import Findings, find
from analysis.evidence import read_evidence
from analysis.figures import Drawing, plotly_js, write_pngs
from analysis.markdown import escaped, fenced
from analysis.paired import Verdict
from analysis.plain import to_json
from analysis.report_tables import pairs_csv, runs_csv
from analysis.sections import SYMBOLS, VERDICT_HEAD, Section, drawings, sections, verdict_row
from analysis.sentences import number
from search_spaces import dump_ablation

FOLDER = Path("reports")
_TEMPLATES = Path(__file__).with_name("templates")
_TONES = dict.fromkeys(Verdict, "even") | {
    Verdict.BETTER: "good",
    Verdict.WORSE: "bad",
    Verdict.UNSTABLE: "bad",
    Verdict.NOT_COMPARABLE: "bad",
}
_IN_DASHBOARD = 3  # figures: it reads all that a study carries whenever it looks


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        folder: Where it lies.
        files: The page, the Markdown, the tables and the ablation, in this order.
        pictures: The figures of the Markdown; none where no browser could draw them.
    """

    folder: Path
    files: tuple[Path, ...]
    pictures: tuple[Path, ...]

    @property
    def page(self) -> Path:
        """What a person opens first."""
        return self.files[0]


def report(url: str, name: str, folder: Path | None = None) -> tuple[Path, ...]:
    """Write the report of an ablation from the database alone.

    Args:
        url: Of the database.
        name: Of the ablation.
        folder: Where to; None for `reports/NAME`.

    Returns:
        The paths written.

    Raises:
        UsageError: There is no ablation of that name.
    """
    written = write_report(find(read_evidence(url, name)), folder or FOLDER / name)
    return (*written.files, *written.pictures)


def write_report(findings: Findings, folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md``, ``pairs.csv``, ``runs.csv``, ``report.json`` and ``ablation.yaml``.

    Args:
        findings: What to say.
        folder: Made when missing; files of these names are replaced.
        png: Whether the Markdown has its figures, as files in ``figures``, where a browser can draw them.
    """
    parts = sections(findings)
    pictures = drawings(parts)
    folder.mkdir(parents=True, exist_ok=True)
    missing = write_pngs(pictures, folder / "figures") if png else "they were not asked for"
    texts = {
        "index.html": html_page(findings, parts),
        "report.md": markdown_page(findings, parts, missing),
        "pairs.csv": pairs_csv(findings),
        "runs.csv": runs_csv(findings),
        "report.json": _json(findings),
        "ablation.yaml": dump_ablation(findings.spec),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    drawn = () if missing else tuple(folder / "figures" / f"{one.name}.png" for one in pictures)
    return Report(folder, tuple(folder / name for name in texts), drawn)


def html_page(findings: Findings, parts: tuple[Section, ...]) -> str:
    """Return the page: one file that loads nothing, and that no text of the ablation can make do anything."""
    plotly, boot = plotly_js(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    figures = ",".join(f'"{one.name}":{one.json}' for one in drawings(parts))
    page = _environment(html=True).get_template("report.html")
    return page.render(
        **_common(findings, parts),
        hashes=[_csp_hash(plotly), _csp_hash(boot)],
        # Markup: these three are scripts, and made safe for where they stand.
        plotly=Markup(plotly),  # noqa: S704
        boot=Markup(boot),  # noqa: S704
        figures=Markup(f"{{{figures}}}"),  # noqa: S704
    )


def markdown_page(findings: Findings, parts: tuple[Section, ...], no_pictures: str | None) -> str:
    """Return the report as Markdown.

    Args:
        findings: What to say.
        parts: Its sections.
        no_pictures: Why the figures are left out; None if they lie in ``figures``.
    """
    page = _environment(html=False).get_template("report.md")
    text = page.render(**_common(findings, parts), no_pictures=no_pictures)
    lines = (line.rstrip() for line in text.splitlines())
    return _single_blank_lines("\n".join(lines))


def dashboard_note(findings: Findings) -> str:
    """Return the Markdown that the dashboard shows: the verdicts, and their table."""
    lines = [f"# {escaped(findings.spec.question)}", ""]
    for claim, sentence in zip(findings.claims, findings.sentences, strict=True):
        lines += [f"**{SYMBOLS[claim.verdict]} {claim.verdict.value}** {escaped(sentence)}", ""]
    head = " | ".join(VERDICT_HEAD)
    lines += [f"| {head} |", f"|{' --- |' * len(VERDICT_HEAD)}"]
    lines += [f"| {' | '.join(escaped(cell) for cell in verdict_row(claim))} |" for claim in findings.claims]
    return "\n".join([*lines, "", "The whole report is among the artifacts: index.html."])


def publish(url: str, findings: Findings, written: Report) -> None:
    """Show the verdicts, the first figures and the files of a report in the Optuna dashboard over the database."""
    from sweeps.study import push_report

    shown: dict[str, Any] = {one.name: one.titled for one in _for_dashboard(findings)}
    push_report(url, findings.spec.name, dashboard_note(findings), shown, written.files)


def _for_dashboard(findings: Findings) -> tuple[Drawing, ...]:
    return drawings(sections(findings)[2:4])[:_IN_DASHBOARD]


def _common(findings: Findings, parts: tuple[Section, ...]) -> dict[str, Any]:
    claims = [
        {
            "tone": _TONES[one.verdict],
            "symbol": SYMBOLS[one.verdict],
            "word": one.verdict.value,
            "sentence": text,
            "wider": wider,
        }
        for one, text, wider in zip(findings.claims, findings.sentences, findings.wider, strict=True)
    ]
    words = dict.fromkeys(one.verdict.value for one in findings.claims)
    return {
        "name": findings.spec.name,
        "question": findings.spec.question,
        "verdict": ", ".join(words),
        "claims": claims,
        "facts": _facts(findings),
        "sections": parts,
    }


def _facts(findings: Findings) -> list[tuple[str, str]]:
    metrics = findings.spec.metrics
    margin = "none" if metrics.margin is None else f"±{number(metrics.margin)}"
    return [
        ("metric", f"{metrics.primary} ({metrics.goal})"),
        ("margin", margin),
        ("pairs", str(findings.pairs)),
        ("design", " and ".join(findings.spec.designs)),
        ("runs", str(len(findings.runs))),
        ("training", f"{number(sum(run.seconds for run in findings.runs))} s"),
    ]


def _json(findings: Findings) -> str:
    every = {name: getattr(findings, name) for name in type(findings).__dataclass_fields__ if name != "spec"}
    return to_json({"name": findings.spec.name, "question": findings.spec.question, **every})


@lru_cache(maxsize=2)
def _environment(html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,  # noqa: S701  Markdown has filters of its own; HTML is escaped
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": escaped, "fenced": fenced}
    return environment


def _csp_hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _single_blank_lines(text: str) -> str:
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"
