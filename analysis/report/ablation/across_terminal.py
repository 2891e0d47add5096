"""Print the result of an ablation of several tasks: sentences, a table of the tasks and the paths of the reports."""

from itertools import compress
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.across_tasks.findings import AcrossFindings
from analysis.across_tasks.sentences import population_sentence, verdict_sentence
from analysis.report.ablation.across_tables import TASK_HEAD, task_rows
from analysis.report.ablation.overview import SYMBOLS
from analysis.report.ablation.terminal import ROOMY, STYLES

_WORDS = ("contrast", "task", "design", "verdict")


def print_across(found: AcrossFindings, console: Console, page: Path | None = None) -> None:
    """Print the verdicts over all tasks, and the effect on each task.

    Args:
        found: Findings over the tasks.
        console: Console to print to; text of the ablation is not interpreted as markup.
        page: Path of the report's page, if it was written.
    """
    for claim in found.claims:
        style = f"bold {STYLES.get(claim.verdict, '')}".strip()
        word = Text(f"{SYMBOLS[claim.verdict]} {claim.verdict.value}", style=style)
        console.print(Text.assemble(word, "  ", verdict_sentence(found, claim)))
        if wider := population_sentence(found, claim):
            console.print(Text(f"  {wider}"))
    console.print(_table(found, narrow=console.width < ROOMY))
    if page is not None:
        console.print(Text(f"report   {page}"), soft_wrap=True)
    if not found.complete:
        console.print(Text("next     the same command continues"))


def _table(found: AcrossFindings, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    left_out = {"scaled", "scaled interval"} if narrow else set()
    if len(found.claims) == 1:
        left_out |= {"contrast", "design"}
    shown = [name not in left_out for name in TASK_HEAD]
    for name in compress(TASK_HEAD, shown):
        words = name in _WORDS
        table.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for claim in found.claims:
        for row in task_rows(claim):
            table.add_row(*(Text(cell) for cell in compress(row, shown)))
    return table
