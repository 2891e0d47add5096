"""Write the report of an ablation of several tasks. The same database gives the same bytes."""

from pathlib import Path

from analysis.across_tasks.findings import AcrossFindings
from analysis.across_tasks.sentences import population_sentence, verdict_sentence
from analysis.report.ablation.across_sections import across_sections
from analysis.report.ablation.across_tables import across_pairs_csv, tasks_csv
from analysis.report.ablation.files import TONES
from analysis.report.ablation.overview import SYMBOLS
from analysis.report.page import Headline, Page, Report, write_page
from analysis.report.to_json import to_json
from analysis.wording import number

_OWN = ("spec", "tasks")  # they are in the reports of the tasks


def write_across_report(found: AcrossFindings, folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md``, ``pairs.csv``, ``effects.csv`` and ``report.json``.

    Args:
        found: Findings over the tasks.
        folder: Target folder, created if missing; existing files are replaced.
        png: Whether to write the figures of the Markdown as PNG files to ``figures``, if a browser is available.
    """
    beside = {"pairs.csv": across_pairs_csv(found), "effects.csv": tasks_csv(found), "report.json": _json(found)}
    return write_page(_page(found), beside, folder, png)


def _page(found: AcrossFindings) -> Page:
    headlines = tuple(
        Headline(
            TONES[one.verdict],
            SYMBOLS[one.verdict],
            one.verdict.value,
            verdict_sentence(found, one),
            population_sentence(found, one),
        )
        for one in found.claims
    )
    spec, runs = found.spec, [run for one in found.tasks.values() for run in one.runs]
    facts = (
        ("metric", f"{spec.metrics.primary} ({spec.metrics.goal})"),
        ("scale", str(found.scale)),
        ("tasks", str(len(found.group.tasks))),
        ("pairs", ", ".join(str(one.pairs) for one in found.tasks.values())),
        ("runs", str(len(runs))),
        ("training", f"{number(sum(run.seconds for run in runs))} s"),
    )
    return Page("Ablation", found.group.name, spec.question, headlines, facts, across_sections(found))


def _json(found: AcrossFindings) -> str:
    every = {name: getattr(found, name) for name in type(found).__dataclass_fields__ if name not in _OWN}
    sentences = [verdict_sentence(found, one) for one in found.claims]
    populations = [population_sentence(found, one) for one in found.claims]
    name, question = found.group.name, found.spec.question
    return to_json({"name": name, "question": question, "sentences": sentences, "like_these": populations, **every})
