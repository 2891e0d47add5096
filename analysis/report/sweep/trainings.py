"""Sections 5 to 8: the trainings, what stopping them early did, what more runs would buy, and what was spent."""

from __future__ import annotations

from typing import NamedTuple

from analysis.figures.run_curves import run_curves
from analysis.figures.rungs import rung_ranks, survivors
from analysis.figures.sweep import ledger, sweep_best_of_n
from analysis.report.blocks import Section, Text, pictures, section, table
from analysis.sweep.findings import SweepFindings
from analysis.sweep.rung_correlation import LEAST, RungCorrelation
from analysis.wording import NONE, number, or_dash, two_decimals
from search_spaces import Asha
from sweeps.engine.progress import sweep_progress
from sweeps.run_state import RunState


class _Run(NamedTuple):
    """As much of a run as its standing needs."""

    number: int
    state: RunState
    epoch: int
    value: float | None


def curves(findings: SweepFindings) -> Section:
    """Every run along its training."""
    drawing = run_curves(findings)
    return section(5, "Curves of all runs", pictures([drawing] if drawing else []), why="No run reported an epoch.")


def stopping(findings: SweepFindings) -> Section:
    """What the rungs let through, whether they were right, and what they saved."""
    spec, rungs = findings.spec, rung_survivors(findings)
    drawn = [one for one in (survivors(rungs), rung_ranks(findings)) if one is not None]
    whole = findings.epochs_spent + findings.epochs_saved
    saved = (
        f"Stopping saved {findings.epochs_saved} of {whole} epochs ({findings.epochs_saved / whole:.0%})."
        if findings.epochs_saved
        else "No epoch was saved: no run was stopped."
    )
    rule = "" if isinstance(spec.early_stopping, Asha) else " The epochs below are those at which ASHA would compare."
    head = ("at epoch", "against", "runs", "Spearman", "95 % interval", "Kendall")
    return section(
        6,
        "Early stopping",
        Text(f"{saved}{rule}"),
        pictures(drawn),
        table("Runs at each rung", ("rung", "reached", "went on"), [tuple(map(str, one)) for one in rungs]),
        table("How alike runs are ranked at two epochs", head, [_correlation_row(one) for one in findings.rungs]),
        Text(" ".join(_remarks(findings))) if _remarks(findings) else None,
    )


def _remarks(findings: SweepFindings) -> list[str]:
    rows = findings.rungs
    unknown = any(one.spearman is None for one in rows)
    few = f"{NONE}: fewer than {LEAST} runs, or scores that are all alike." if unknown else ""
    chosen = "Only runs that were let through a rung are compared there, which lowers a correlation."
    return [one for one in (few, chosen if any(one.stopped for one in rows) else "") if one]


def rung_survivors(findings: SweepFindings) -> tuple[tuple[int, int, int], ...]:
    """Return `(rung, runs that reached it, runs that went on)`."""
    data = findings.data
    columns = zip(data.numbers, data.states, data.epochs, data.values, strict=True)
    return sweep_progress(findings.spec, [_Run(*one) for one in columns]).survivors


def _correlation_row(one: RungCorrelation) -> tuple[str, ...]:
    rho, tau = (or_dash(value, "{:.2f}".format) for value in (one.spearman, one.kendall))
    return (str(one.rung), str(one.later), str(one.runs), rho, or_dash(one.interval, two_decimals), tau)


def best_of_runs(findings: SweepFindings) -> Section:
    """What the best of n runs is worth."""
    drawing = sweep_best_of_n(findings)
    told = findings.fidelity.words if findings.fidelity else ""
    return section(
        7,
        "Would more runs pay?",
        pictures([drawing] if drawing else []),
        Text(
            f"The expected best of n of these runs drawn without replacement, {told} (Dodge et al., EMNLP 2019). It is"
            " about the score that selects, which flatters the best."
        )
        if drawing
        else None,
        why="Too few runs reached the same epoch to tell.",
    )


def costs(findings: SweepFindings) -> Section:
    """What the runs of each state cost."""
    drawing = ledger(findings)
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
    head = ("state", "runs", "epochs", "seconds of training", "of the seconds")
    return section(
        8,
        "Cost",
        pictures([drawing] if drawing else []),
        table("What runs of each state cost", head, [*rows, total] if rows else []),
        why="No run has been recorded yet.",
    )
