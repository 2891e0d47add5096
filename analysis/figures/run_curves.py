"""Learning curves of all runs of a sweep."""

import math
from collections.abc import Sequence
from typing import Any

from analysis.figures.drawing import Drawing, across, axis, drawn, metric_axis, rounded, spans
from analysis.figures.run_styles import BASELINE, BEST, STYLES, winner
from analysis.sweep.best_quarter import window
from analysis.sweep.findings import SweepFindings
from analysis.wording import number, part_of
from search_spaces.values import counted
from sweeps.plan.asha import rung_epochs
from sweeps.run_state import RunState

MOST_CURVES = 300
REACH = 4.0  # wider than for scores, because the early part of a curve should be visible


def run_curves(findings: SweepFindings) -> Drawing | None:
    """Draw the metric of every run by epoch, with the rungs; the best run and the baseline are thick."""
    numbers = [number for number, curve in findings.curves.items() if curve]
    if not numbers:
        return None
    best, metric = winner(findings), findings.spec.metric
    states = dict(zip(findings.data.numbers, findings.data.states, strict=True))
    shown = numbers[:MOST_CURVES]
    traces = [
        _bundle(findings, [one for one in shown if states[one] is state and one not in (0, best)], state)
        for state in dict.fromkeys(states[one] for one in shown)
    ]
    traces = [trace for trace in traces if trace["x"]]
    traces += [_single(findings, 0, "run 0 (baseline)", BASELINE)] if 0 in numbers else []
    traces += [_single(findings, best, f"run {best} (best)", BEST)] if best else []
    rungs = rung_epochs(findings.spec.early_stopping, findings.spec.recipe.budget)
    scale, beyond = _value_scale(findings)
    layout = {
        "xaxis": axis(findings.spec.recipe.budget.unit, rangemode="tozero"),
        "yaxis": axis(metric_axis(metric.name), **scale),
        "shapes": [across("x", rung) for rung in rungs],
        "showlegend": True,
    }
    reading = f"{_curves_reading(findings, rungs, len(shown), len(numbers))}{beyond}"
    return drawn("curves", f"{metric.name} of all runs", reading, traces, layout, 420)


def _value_scale(findings: SweepFindings) -> tuple[dict[str, Any], str]:
    """Return the properties of the value axis, and a sentence about values outside of it."""
    goal = findings.spec.metric.goal
    every = [value for curve in findings.curves.values() for value in curve.values() if math.isfinite(value)]
    if spans(every):
        return {"type": "log", "exponentformat": "power"}, ""
    # Only last values: with all values, long runs would dominate and early values would count as outliers.
    cut = window([value for value in findings.data.values if value is not None], goal, REACH)
    if cut is None:
        return {}, ""
    far = [value for value in every if cut.low <= value <= cut.high or (value > cut.high) == (goal == "maximize")]
    low, high = min(far), max(far)
    room, end, beyond = 0.04 * (high - low), "below" if goal == "maximize" else "above", _outside(every, low, high)
    words = f" {part_of(beyond, len(every), 'value', 'is', 'are')} {end} the axis range."
    return {"range": [low - room, high + room]}, words


def _outside(values: Sequence[float], low: float, high: float) -> int:
    return sum(not low <= value <= high for value in values)


def _bundle(findings: SweepFindings, numbers: Sequence[int], state: RunState) -> dict[str, Any]:
    """Return thin lines for the runs of one state, as one trace with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    unit = findings.spec.recipe.budget.unit
    for number_ in numbers:
        curve = findings.curves[number_]
        x += [*curve, None]
        y += [*curve.values(), None]
        texts += [*(f"run {number_}, {unit} {epoch}: {number(value)}" for epoch, value in curve.items()), ""]
    colour, symbol, dash = STYLES[state]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": state.value.lower(),
        "x": x,
        "y": rounded([None if value is None or not math.isfinite(value) else value for value in y]),
        "line": {"color": colour, "width": 1, "dash": dash},
        "marker": {"size": 4, "symbol": symbol, "color": colour},
        "opacity": 0.8,
        "hovertext": texts,
        "hoverinfo": "text",
    }


def _single(findings: SweepFindings, number_: int, name: str, style: dict[str, str]) -> dict[str, Any]:
    curve = findings.curves[number_]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": list(curve),
        "y": rounded([value if math.isfinite(value) else None for value in curve.values()]),
        "line": {"color": style["color"], "width": 2.6, "dash": style["dash"]},
        "marker": {"size": 6, "symbol": style["symbol"], "color": style["color"]},
        "hoverinfo": "x+y+name",
    }


def _curves_reading(findings: SweepFindings, rungs: Sequence[int], shown: int, of: int) -> str:
    budget = findings.spec.recipe.budget
    whole = sum(epoch >= budget.length for epoch in findings.data.epochs)
    words = f"{whole} of {counted(len(findings.data.numbers), 'run')} trained for the full {budget.text}"
    best = findings.best[0].run if findings.best else None
    if best is not None and best.value is not None:
        words += f"; run {best.number} ends at {number(best.value)}"
    base = findings.data.values[0] if findings.data.values else None
    if base is not None and (best is None or best.number):
        words += f", the baseline at {number(base)}"
    epochs = f"{budget.unit}{'s' * (len(rungs) > 1)} {', '.join(map(str, rungs))}"
    words += f". Dotted lines mark rungs: {epochs}." if rungs else "."
    return words if shown == of else f"{words} The first {shown} of {of} runs are drawn."
