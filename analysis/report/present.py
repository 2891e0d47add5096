"""Show a report in all places: files, the dashboard and the terminal."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Console

from analysis.ablation.confirmation import read_confirmation
from analysis.ablation.evidence import read_evidence, stored_members
from analysis.ablation.findings import ablation_findings
from analysis.across_tasks.findings import read_across
from analysis.load import sweeps_frame
from analysis.report.ablation.across_files import write_across_report
from analysis.report.ablation.across_terminal import print_across
from analysis.report.ablation.files import publish, write_report
from analysis.report.ablation.terminal import print_verdicts
from analysis.report.sweep.files import publish_sweep, write_sweep_report
from analysis.report.sweep.terminal import print_sweep_report
from analysis.sweep.evidence import read_sweep
from analysis.sweep.findings import sweep_findings
from search_spaces import UsageError, suggest

FOLDER = Path("reports")


def present(url: str, name: str, console: Console, folder: Path | None = None) -> None:
    """Write the report of a sweep or ablation from the database alone, publish it, and print its results.

    An ablation of several tasks has a report over all of them, with a folder for the report of each task.

    Args:
        url: URL of the database.
        name: Name of the sweep or ablation.
        console: Console to print to.
        folder: Folder for the files; None for `reports/NAME`.

    Raises:
        UsageError: There is no sweep or ablation with this name.
    """
    to = folder or FOLDER / name
    kind = kind_of(url, name)
    if kind == "tasks":
        _present_tasks(url, name, console, to)
        return
    if kind == "ablation":
        with _busy(console):
            findings = ablation_findings(read_evidence(url, name))
            written = write_report(findings, to)
            publish(url, findings, written)
        print_verdicts(findings, console, written.page)
        return
    with _busy(console):
        evidence = read_sweep(url, name)
        sweep = sweep_findings(evidence, confirmation=read_confirmation(url, evidence))
        pages = write_sweep_report(url, sweep, to)
        publish_sweep(url, sweep, pages)
    print_sweep_report(sweep, console, pages.page)


def _present_tasks(url: str, name: str, console: Console, to: Path) -> None:
    with _busy(console):
        found = read_across(url, stored_members(url, name))
        for task, one in found.tasks.items():
            publish(url, one, write_report(one, to / task))
        written = write_across_report(found, to)
    print_across(found, console, written.page)


def kind_of(url: str, name: str) -> str:
    """Return `sweep`, `ablation`, or `tasks` for an ablation of several tasks.

    Raises:
        UsageError: There is no sweep or ablation with this name.
    """
    kinds = dict(sweeps_frame(url)[["name", "kind"]].itertuples(index=False, name=None))
    if name not in kinds and stored_members(url, name):
        return "tasks"
    if name not in kinds:
        raise UsageError(f"no sweep or ablation {name!r} in the database: {suggest(name, list(kinds))}")
    return str(kinds[name])


def _busy(console: Console) -> AbstractContextManager[object]:
    return console.status("writing the report") if console.is_terminal else nullcontext()
