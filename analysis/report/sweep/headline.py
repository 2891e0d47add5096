"""The answer of a sweep in a sentence: its best run against its baseline, and how far that can be believed."""

from __future__ import annotations

from analysis.report.page import Headline
from analysis.sweep.checks.check import Outcome
from analysis.sweep.findings import SweepFindings
from analysis.wording import number
from sweeps.run_state import RunState

OPTIMISM = "selection optimism"
"""The check that says whether the winner's lead is more than its selection explains."""

TONES = {Outcome.PASS: "good", Outcome.WARN: "even", Outcome.FAIL: "bad"}
SIGNS = {Outcome.PASS: "✓", Outcome.WARN: "!", Outcome.FAIL: "✗"}


def question(findings: SweepFindings) -> str:
    """What the sweep was run for."""
    spec = findings.spec
    most = "highest" if spec.metric.goal == "maximize" else "lowest"
    return f"Which recipe for {spec.task} has the {most} {spec.metric.name}?"


def headline(findings: SweepFindings) -> Headline:
    """Return the best run against the baseline, with what selecting it did to its score."""
    if not findings.best:
        return Headline("bad", "✗", "NO WINNER", f"No run is complete{_unfinished(findings)}: {_ends(findings)}.")
    best, metric = findings.best[0], findings.spec.metric.name
    score, complete = f"{metric} {number(best.run.value or 0.0)}", _count(findings, RunState.COMPLETE)
    found = f"the best of {complete} complete runs{_unfinished(findings)}"
    if not best.run.number:
        sentence = (
            f"The baseline, run 0, is {found}, with {score}: no searched recipe that was trained to the end beats it."
        )
        return Headline("bad", "=", "BASELINE IS BEST", sentence)
    base = findings.data.values[0]
    if best.gain is None or base is None:
        sentence = (
            f"Run {best.run.number} is {found}, with {score}; the baseline is not complete, so it beats nothing yet."
        )
        return Headline("even", "?", "NO BASELINE", sentence, _caveat(findings))
    lead = (
        f"Run {best.run.number}, {found}, has {score} against the baseline's {number(base)}: {number(best.gain)} better"
    )
    if clear(findings):
        return Headline("good", "▲", "BETTER", f"{lead}, more than selecting it explains.", _caveat(findings))
    return Headline("even", "?", "MAY BE LUCK", f"{lead}, which may be the luck of the selection.", _caveat(findings))


def clear(findings: SweepFindings) -> bool:
    """Whether the winner's lead is more than its selection explains."""
    return any(one.name == OPTIMISM and one.outcome is Outcome.PASS for one in findings.checks)


def _caveat(findings: SweepFindings) -> str:
    noise = findings.noise
    least = "at least " if noise is not None and noise.bound else ""
    amount = (
        f"by {least}about {number(float(f'{findings.optimism:.2g}'))}"
        if findings.optimism is not None
        else "by an unknown amount"
    )
    return (
        f"The winner's score is flattered {amount}, since it was chosen by it;"
        f" sweeps confirm {findings.spec.name} gives the honest one."
    )


def _unfinished(findings: SweepFindings) -> str:
    planned, ended = findings.spec.runs, sum(row.runs for row in findings.ledger if row.state.finished)
    return f" so far ({ended} of {planned} have ended)" if ended < planned else ""


def _ends(findings: SweepFindings) -> str:
    ends = ", ".join(f"{row.runs} {row.state.value.lower()}" for row in findings.ledger)
    return ends or "none was begun"


def _count(findings: SweepFindings, state: RunState) -> int:
    return sum(row.runs for row in findings.ledger if row.state is state)
