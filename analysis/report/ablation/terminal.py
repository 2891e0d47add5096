"""Print the result of an ablation: sentences, a table and the next command."""

import shlex
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.ablation.claims import Claim
from analysis.ablation.findings import AblationFindings
from analysis.ablation.shipped import LIBRARY
from analysis.report.ablation.overview import SYMBOLS, VERDICT_HEAD, verdict_row
from analysis.statistics.paired import Verdict

STYLES = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.UNSTABLE: "red", Verdict.NOT_COMPARABLE: "red"}
_BROKEN = {Verdict.UNSTABLE, Verdict.NOT_COMPARABLE, Verdict.IDENTICAL}  # verdicts that more pairs would not change
_WORDS = {"contrast": 9, "design": 7, "verdict": 12}  # columns of words and their minimum widths
ROOMY = 100  # a narrower terminal omits columns


def print_verdicts(findings: AblationFindings, console: Console, page: Path | None = None) -> None:
    """Print a sentence for each verdict, the table of verdicts, the report's path and the next command.

    Args:
        findings: Findings of the ablation.
        console: Console to print to; text of the ablation is not interpreted as markup.
        page: Path of the report's page, if it was written.
    """
    for claim, sentence in zip(findings.claims, findings.sentences, strict=True):
        word = Text(
            f"{SYMBOLS[claim.verdict]} {claim.verdict.value}", style=f"bold {STYLES.get(claim.verdict, '')}".strip()
        )
        console.print(Text.assemble(word, "  ", sentence))
    console.print(_table(findings, narrow=console.width < ROOMY))
    if page is not None:
        console.print(Text(f"report   {page}"), soft_wrap=True)
    following = next_step(findings, page)
    if following is not None:
        console.print(Text(f"next     {following}"), soft_wrap=True)


def next_step(findings: AblationFindings, page: Path | None = None) -> str | None:
    """Return the most useful next command; None if the question is answered or more pairs would not help."""
    spec = findings.spec
    if findings.pairs < spec.pairs and any(not run.state.finished for run in findings.runs):
        return "the same command continues"
    verdicts = {claim.verdict for claim in findings.claims}
    if Verdict.INCONCLUSIVE not in verdicts or verdicts & _BROKEN:
        return None
    more = max((_needed(claim) for claim in findings.claims), default=0) or max(findings.pairs, 1)
    source = _source(findings, page)
    if isinstance(spec.looks, tuple):  # all planned looks were taken, and one more would be unplanned
        total, seed = findings.pairs + more, spec.space.sampler.seed + 1
        return f"{source} --name {spec.name}_2 --seed {seed} --pairs {total} (with other looks in the file)"
    return f"{source} --add-pairs {more}"


def _source(findings: AblationFindings, page: Path | None) -> str:
    """Return the command with the file of the ablation: a shipped one by name, or the copy in the report."""
    name = findings.spec.name
    if (LIBRARY / f"{name}.yaml").exists():
        return f"sweeps ablate {name}"
    beside = "ablation.yaml" if page is None else str(page.with_name("ablation.yaml"))
    return f"sweeps ablate {shlex.quote(beside)} --name {name}"


def _needed(claim: Claim) -> int:
    if claim.verdict is not Verdict.INCONCLUSIVE or claim.comparison is None:
        return 0
    return claim.comparison.needed or 0


def _table(findings: AblationFindings, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    # A narrow terminal omits the design if it is the same in every row, and what the sentences have.
    left_out = {"sign-flip p", "pairs won"} if narrow else set()
    left_out |= {"design"} if narrow and len(findings.spec.designs) == 1 else set()
    for name in VERDICT_HEAD:
        words = name in _WORDS
        if name not in left_out:
            justify: Literal["left", "right"] = "left" if words else "right"
            table.add_column(name, justify=justify, overflow="fold", no_wrap=not words, min_width=_WORDS.get(name))
    for claim in findings.claims:
        cells = [
            Text(cell) for name, cell in zip(VERDICT_HEAD, verdict_row(claim), strict=True) if name not in left_out
        ]
        cells[-1].stylize(STYLES.get(claim.verdict, ""))
        table.add_row(*cells)
    return table
