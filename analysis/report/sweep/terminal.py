"""Print the result and the diagnosis of a sweep: sentences, short tables and the next command."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.diagnosis.findings import Finding, Severity
from analysis.report.sweep.appendix import MOST_FINDINGS, REGION_HEAD, SHARE_HEAD, region_rows, share_rows, too_short
from analysis.report.sweep.headline import SIGNS, headlines
from analysis.sweep.findings import SweepFindings, confirm_command
from analysis.wording import a_unit, part_of
from search_spaces import UsageError
from trainers.check import Outcome

_STYLES = {"good": "green", "bad": "red", "even": "yellow"}
_OUTCOMES = {Outcome.PASS: "green", Outcome.WARN: "yellow", Outcome.FAIL: "red"}
_SEVERE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_WORST = 5  # runs


def print_sweep_report(findings: SweepFindings, console: Console, page: Path | None = None) -> None:
    """Print the confirmation, the best run found, the checks that did not pass, the report's path and the next command.

    Args:
        findings: Findings of the sweep.
        console: Console to print to; text of the sweep is not interpreted as markup.
        page: Path of the report's page, if it was written.
    """
    for top in headlines(findings):
        word = Text(f"{top.symbol} {top.word}", style=f"bold {_STYLES[top.tone]}")
        console.print(Text.assemble(word, "  ", top.sentence))
        if top.wider:
            console.print(Text(top.wider, style="dim"))
    for check in sorted(findings.checks, key=lambda one: one.outcome is not Outcome.FAIL):
        if check.outcome is not Outcome.PASS:
            sign = Text(f"{SIGNS[check.outcome]} {check.outcome.value}", style=_OUTCOMES[check.outcome])
            console.print(Text.assemble(sign, f"  {check.name}: {check.evidence} ", (check.next_step, "bold")))
    passed = sum(one.outcome is Outcome.PASS for one in findings.checks)
    console.print(Text(f"{passed} of {len(findings.checks)} checks passed"))
    if page is not None:
        console.print(Text(f"report   {page}"), soft_wrap=True)
    console.print(Text(f"next     {next_command(findings)}"), soft_wrap=True)


def next_command(findings: SweepFindings) -> str:
    """Return the most useful next command."""
    name = shlex.quote(findings.spec.name)
    ended = sum(row.runs for row in findings.ledger if row.state.finished)
    if ended < findings.spec.runs:
        return "the same command continues"
    if not findings.best:
        return f"sweeps diagnose {name}"
    if findings.ranges:
        return f"sweeps extend {name} --edge"
    if findings.confirmation is not None and findings.confirmation.covers_best:
        return f"sweeps report {shlex.quote(findings.confirmation.name)}"
    return confirm_command(findings.spec.name, findings.confirmation)


def print_diagnosis(findings: SweepFindings, console: Console, number: int | None = None) -> None:
    """Print the findings of one run, or the number of runs with each finding, the regions and the worst runs.

    Args:
        findings: Findings of the sweep.
        console: Console to print to; text of the sweep is not interpreted as markup.
        number: Number of a run; None for the whole sweep.

    Raises:
        UsageError: There is no run with this number.
    """
    if number is not None:
        _print_run(findings, console, number)
        return
    if failed := findings.failures:
        count = part_of(len(failed), len(findings.data.numbers), "run", "has", "have")
        command = f"sweeps show {shlex.quote(findings.spec.name)} {failed[0].number}"
        console.print(Text(f"{count} failed; the first error: {command}"), soft_wrap=True)
    table = findings.diagnosis
    if not table.runs:
        console.print(Text(f"No run has reported {a_unit(findings.spec)} yet."))
        return
    short = too_short(findings)
    note = f"; {short} {'is' if short == 1 else 'are'} too short for most rules" if short else ""
    without = part_of(table.without_alarm, table.runs, "run", "has", "have")
    console.print(Text(f"{without} neither an error nor a warning{note}."))
    for head, rows in ((SHARE_HEAD, share_rows(findings)), (REGION_HEAD, region_rows(findings))):
        if rows:
            console.print(_table(head, rows))
    for worst in _worst(findings):
        every = findings.findings[worst]
        codes = ", ".join(one.code.value for one in every if one.alarm)
        console.print(Text(f"run {worst}  {codes}: {every[0].evidence}"))
    if _worst(findings):
        name = shlex.quote(findings.spec.name)
        console.print(Text(f"next     sweeps diagnose {name} {_worst(findings)[0]}"), soft_wrap=True)


def _worst(findings: SweepFindings) -> list[int]:
    """Return the worst runs: those with the most errors first, then with the most errors and warnings."""
    alarms = {run: [one for one in every if one.alarm] for run, every in findings.findings.items()}
    errors = {run: sum(one.severity is Severity.ERROR for one in every) for run, every in alarms.items()}
    ranked = sorted(alarms, key=lambda run: (-errors[run], -len(alarms[run]), run))
    return [run for run in ranked if alarms[run]][:_WORST]


def _print_run(findings: SweepFindings, console: Console, number: int) -> None:
    data = findings.data
    if number not in data.numbers:
        raise UsageError(f"{findings.spec.name} has no run {number}; its runs are 0 to {len(data.numbers) - 1}")
    place = data.numbers.index(number)
    state, epoch, every = data.states[place], data.epochs[place], findings.findings.get(number, ())
    unit = findings.spec.recipe.budget.unit
    console.print(
        Text(f"run {number}: {state.value.lower()} after {unit} {epoch} of {findings.spec.recipe.budget.length}")
    )
    for one in every[:MOST_FINDINGS]:
        _print_finding(console, one)
    if not every:
        none = f"It has no curves, because it has not reported {a_unit(findings.spec)}."
        console.print(Text("Its curves have no findings." if epoch else none))
    left = len(every) - MOST_FINDINGS
    if left > 0:
        console.print(Text(f"{left} more of lower precedence in report.json"))


def _print_finding(console: Console, one: Finding) -> None:
    word = Text(f"{one.severity.value.upper()} {one.code.value}", style=_SEVERE[one.severity])
    console.print(Text.assemble(word, f"  {one.evidence} ", (one.next_step, "bold")))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(head):
        justify: Literal["left", "right"] = "left" if index < 2 else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=index != 1)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
