"""Figures of early stopping: runs promoted at each rung, and rank correlation of early and late scores."""

from collections.abc import Sequence

from analysis.figures.drawing import (
    BAR_LEGEND,
    COLOURS,
    GREY,
    PATTERNS,
    Drawing,
    across,
    axis,
    bars,
    drawn,
    error_bars,
    names_axis,
    rounded,
)
from analysis.sweep.findings import SweepFindings
from analysis.sweep.rung_correlation import RungCorrelation
from analysis.wording import number, part_of, two_decimals
from search_spaces.values import counted


def survivors(rungs: Sequence[tuple[int, int, int]], unit: str) -> Drawing | None:
    """Draw the number of runs that reached each rung and the number promoted there.

    Args:
        rungs: `(epoch, reached, promoted)` for each rung.
        unit: What is counted: epoch or step.
    """
    if not rungs:
        return None
    traces = [
        bars("promoted", [on for _, _, on in rungs], COLOURS[0], PATTERNS[0]),
        bars("not promoted", [reached - on for _, reached, on in rungs], GREY, PATTERNS[1]),
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.45,
        "xaxis": axis("number of runs", rangemode="tozero"),
        "yaxis": names_axis([f"{unit} {rung}" for rung, _, _ in rungs], range=[len(rungs) - 0.4, -0.6]),
        **BAR_LEGEND,
    }
    words = ", ".join(f"{on} of {counted(reached, 'run')} at {unit} {rung}" for rung, reached, on in rungs)
    height = 150 + 44 * len(rungs)
    return drawn("survivors", "Runs promoted at each rung", f"Promoted: {words}.", traces, layout, height)


def rung_ranks(findings: SweepFindings) -> Drawing | None:
    """Draw the Spearman correlation of the scores at two epochs, with its interval."""
    known = [one for one in findings.rungs if one.spearman is not None]
    if not known:
        return None
    unit = findings.spec.recipe.budget.unit
    rho = [one.spearman or 0.0 for one in known]
    far = error_bars(rho, [one.interval for one in known], thickness=2.2, width=6, color=COLOURS[0])
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(rho),
        "y": list(range(len(known))),
        "marker": {"size": 11, "color": COLOURS[0], "symbol": "circle"},
        "error_x": far,
        "hovertext": [f"{one.runs} runs: {number(one.spearman or 0.0)}" for one in known],
        "hoverinfo": "text",
    }
    layout = {
        "xaxis": axis("Spearman correlation", range=[-1.05, 1.05]),
        "yaxis": names_axis([f"{unit}s {one.rung} and {one.later}" for one in known], range=[len(known) - 0.4, -0.6]),
        "shapes": [across("x", 0.0)],
    }
    reading = f"Rank correlation: {_ranks_words(known, unit)}."
    return drawn(
        "rung-ranks", "Does an early score predict a later one?", reading, [trace], layout, 130 + 48 * len(known)
    )


def _ranks_words(known: Sequence[RungCorrelation], unit: str) -> str:
    words = "; ".join(
        f"{one.spearman or 0.0:.2f}{f' {two_decimals(one.interval)}' if one.interval else ''} between {unit}s"
        f" {one.rung} and {one.later} ({one.runs} runs)"
        for one in known
    )
    unsure = sum(one.interval is None or not one.interval.excludes(0.0) for one in known)
    if unsure:
        which = part_of(unsure, len(known), "interval", "does", "do") if len(known) > 1 else "The interval does"
        words += f". {which} not exclude 0, so an early score may not predict a later one"
    return words
