"""Styles of the runs of a sweep in all figures: colour, symbol and line for each state."""

from analysis.figures.drawing import COLOURS, GREY
from analysis.sweep.findings import SweepFindings
from analysis.wording import number
from sweeps.run_state import RunState

STYLES = {
    RunState.COMPLETE: (COLOURS[0], "circle", "solid"),
    RunState.STOPPED: (GREY, "diamond-open", "dot"),
    RunState.DIVERGED: (COLOURS[1], "x", "dash"),
    RunState.FAILED: (COLOURS[3], "triangle-down", "dashdot"),
    RunState.RUNNING: (COLOURS[2], "star", "longdash"),
    RunState.INTERRUPTED: (COLOURS[4], "square-open", "longdashdot"),
}
"""Run state -> colour, symbol, dash."""

BEST = {"color": COLOURS[1], "symbol": "diamond", "dash": "solid"}
BASELINE = {"color": COLOURS[2], "symbol": "square", "dash": "dash"}


def winner(findings: SweepFindings) -> int | None:
    """Return the number of the best run; None if no run is complete."""
    return findings.best[0].run.number if findings.best else None


def score_title(findings: SweepFindings) -> str:
    """Return the name of the score with its epoch, for a title."""
    name = findings.spec.metric.name
    return (
        name
        if findings.data.epoch is None
        else f"{name} after {findings.spec.recipe.budget.unit} {findings.data.epoch}"
    )


def score_text(score: float | None) -> str:
    """Return a score as text."""
    return "no score" if score is None else number(score)
