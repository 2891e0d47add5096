"""Sections 5 to 8: learning curves, early stopping, expected gain from more runs, and cost."""

from typing import NamedTuple

from analysis.figures.run_curves import run_curves
from analysis.figures.rungs import rung_ranks, survivors
from analysis.figures.sweep import ledger, sweep_best_of_n
from analysis.report.blocks import Section, Text, pictures, section, table, text
from analysis.report.compute import compute_blocks
from analysis.sweep.findings import SweepFindings
from analysis.sweep.rung_correlation import MIN_RUNS, RungCorrelation
from analysis.wording import NONE, a_unit, number, or_dash, two_decimals
from search_spaces import Asha
from sweeps.engine.progress import sweep_progress
from sweeps.run_state import RunState


class _Run(NamedTuple):
    """Columns of a run that the rung counts need."""

    number: int
    state: RunState
    epoch: int
    value: float | None


def curves(findings: SweepFindings) -> Section:
    """Make the section with the learning curves of all runs."""
    return section(
        5, "Curves of all runs", pictures(run_curves(findings)), why=f"No run reported {a_unit(findings.spec)}."
    )


def stopping(findings: SweepFindings) -> Section:
    """Make the section with the runs promoted at each rung, the rank correlations and the saved epochs."""
    spec, rungs = findings.spec, rung_survivors(findings)
    whole = findings.epochs_spent + findings.epochs_saved
    unit = spec.recipe.budget.unit
    saved = (
        f"Early stopping saved {findings.epochs_saved} of {whole} {unit}s ({findings.epochs_saved / whole:.0%})."
        if findings.epochs_saved
        else f"No {unit}s were saved, because no run was stopped."
    )
    rule = (
        ""
        if isinstance(spec.early_stopping, Asha)
        else f" The {unit}s below are those at which ASHA would compare runs."
    )
    head = (unit, f"later {unit}", "runs", "Spearman", "95 % interval", "Kendall")
    return section(
        6,
        "Early stopping",
        Text(f"{saved}{rule}"),
        pictures(survivors(rungs, unit), rung_ranks(findings)),
        table("Runs at each rung", ("rung", "reached", "promoted"), [tuple(map(str, one)) for one in rungs]),
        table(
            f"Rank correlation of the scores at two {unit}s", head, [_correlation_row(one) for one in findings.rungs]
        ),
        text(" ".join(_remarks(findings))),
    )


def _remarks(findings: SweepFindings) -> list[str]:
    rows = findings.rungs
    unknown = any(one.spearman is None for one in rows)
    few = f"{NONE} means fewer than {MIN_RUNS} runs, or identical scores." if unknown else ""
    chosen = "Only runs that were promoted at a rung are compared there, which lowers the correlation."
    return [one for one in (few, chosen if any(one.stopped for one in rows) else "") if one]


def rung_survivors(findings: SweepFindings) -> tuple[tuple[int, int, int], ...]:
    """Return `(rung, runs that reached it, runs promoted)` for each rung."""
    data = findings.data
    columns = zip(data.numbers, data.states, data.epochs, data.values, strict=True)
    return sweep_progress(findings.spec, [_Run(*one) for one in columns]).survivors


def _correlation_row(one: RungCorrelation) -> tuple[str, ...]:
    rho, tau = (or_dash(value, "{:.2f}".format) for value in (one.spearman, one.kendall))
    return (str(one.rung), str(one.later), str(one.runs), rho, or_dash(one.interval, two_decimals), tau)


def best_of_runs(findings: SweepFindings) -> Section:
    """Make the section with the expected best score of n runs."""
    drawing = sweep_best_of_n(findings)
    when = findings.fidelity.words if findings.fidelity else ""
    return section(
        7,
        "Would more runs help?",
        pictures(drawing),
        Text(
            f"Expected best score of n of these runs, drawn without replacement, {when} (Dodge et al., EMNLP 2019)."
            " The best runs are selected by this score, so it is optimistic for them."
        )
        if drawing
        else None,
        why=f"Too few runs reached the same {findings.spec.recipe.budget.unit}.",
    )


def costs(findings: SweepFindings) -> Section:
    """Make the section with the cost of the runs in each state."""
    seconds, epochs = sum(one.seconds for one in findings.ledger), findings.epochs_spent
    rows = [
        (
            one.state.value.lower(),
            str(one.runs),
            str(one.epochs),
            number(one.seconds),
            f"{one.seconds / seconds if seconds else 0.0:.0%}",
        )
        for one in findings.ledger
    ]
    total = ("all", str(sum(one.runs for one in findings.ledger)), str(epochs), number(seconds), "100%")
    head = ("state", "runs", f"{findings.spec.recipe.budget.unit}s", "training seconds", "share of seconds")
    return section(
        8,
        "Cost",
        pictures(ledger(findings)),
        table("Cost by run state", head, [*rows, total] if rows else []),
        *compute_blocks(findings.compute, "state"),
        why="No run has been recorded yet.",
    )
