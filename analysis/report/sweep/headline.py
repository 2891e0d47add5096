"""The result of a sweep in one sentence: its best run against the baseline, and how reliable the lead is."""

from analysis.report.page import Headline
from analysis.sweep.findings import SweepFindings
from analysis.wording import number
from search_spaces.values import counted
from sweeps.run_state import RunState
from trainers.check import Outcome

OPTIMISM = "selection optimism"
"""Name of the check that compares the winner's lead with the effect of selection."""

TONES = {Outcome.PASS: "good", Outcome.WARN: "even", Outcome.FAIL: "bad"}
SIGNS = {Outcome.PASS: "✓", Outcome.WARN: "!", Outcome.FAIL: "✗"}


def question(findings: SweepFindings) -> str:
    """Return the question that the sweep answers."""
    spec = findings.spec
    most = "highest" if spec.metric.goal == "maximize" else "lowest"
    return f"Which recipe for {spec.task_name} has the {most} {spec.metric.name}?"


def headline(findings: SweepFindings) -> Headline:
    """Return the best run against the baseline, with the effect of selection on its score."""
    if not findings.best:
        return Headline("bad", "✗", "NO WINNER", f"No run is complete{_unfinished(findings)}: {_ends(findings)}.")
    best, metric = findings.best[0], findings.spec.metric.name
    score, complete = f"{metric} {number(best.run.value or 0.0)}", _count(findings, RunState.COMPLETE)
    found = f"the best of {counted(complete, 'complete run')}{_unfinished(findings)}"
    if not best.run.number:
        sentence = f"The baseline, run 0, is {found}, with {score}. No other complete run is better."
        return Headline("bad", "=", "BASELINE IS BEST", sentence)
    base = findings.data.values[0]
    if best.gain is None or base is None:
        sentence = (
            f"Run {best.run.number} is {found}, with {score}. The baseline is not complete, so there is no comparison."
        )
        return Headline("even", "?", "NO BASELINE", sentence, _caveat(findings))
    lead = (
        f"Run {best.run.number}, {found}, has {score} against the baseline's {number(base)}: {number(best.gain)} better"
    )
    if clear(findings):
        return Headline("good", "▲", "BETTER", f"{lead}, more than selection and noise explain.", _caveat(findings))
    return Headline("even", "?", "MAY BE LUCK", f"{lead}, which selection and noise may explain.", _caveat(findings))


def clear(findings: SweepFindings) -> bool:
    """Return whether the winner's lead is larger than selection and noise explain."""
    return any(one.name == OPTIMISM and one.outcome is Outcome.PASS for one in findings.checks)


def _caveat(findings: SweepFindings) -> str:
    noise, amount = findings.noise, "an unknown amount"
    if noise is not None and findings.optimism is not None:
        least = "at least " if noise.bound else ""
        worth, sd = (number(float(f"{value:.2g}")) for value in (findings.optimism, noise.sd))
        amount = f"{least}about {worth} (noise: standard deviation {least}{sd})"
    return (
        f"This score is optimistic by {amount}, because the run was selected by it;"
        f" sweeps confirm {findings.spec.name} measures it on fresh seeds and the test split."
    )


def _unfinished(findings: SweepFindings) -> str:
    planned, ended = findings.spec.runs, sum(row.runs for row in findings.ledger if row.state.finished)
    return f" so far ({ended} of {counted(planned, 'run')} finished)" if ended < planned else ""


def _ends(findings: SweepFindings) -> str:
    ends = ", ".join(f"{row.runs} {row.state.value.lower()}" for row in findings.ledger)
    return ends or "none was started"


def _count(findings: SweepFindings, state: RunState) -> int:
    return sum(row.runs for row in findings.ledger if row.state is state)
