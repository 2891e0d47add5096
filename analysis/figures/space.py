"""Figures of the search space: where the good runs are. All scores are taken after the same number of epochs."""

import math
from collections.abc import Sequence
from typing import Any

from analysis.figures.drawing import (
    COLOURS,
    GREY,
    Drawing,
    axis,
    drawn,
    escaped,
    metric_axis,
    names_axis,
    rounded,
    slug,
)
from analysis.figures.run_styles import STYLES, score_text, score_title, winner
from analysis.sweep.best_quarter import Window, best_quarter, window
from analysis.sweep.findings import SweepFindings
from analysis.sweep.space_data import FieldAxis, SpaceData
from analysis.wording import number, shortened, unquoted, value_text
from search_spaces.values import counted
from sweeps.run_state import RunState

_ROOM = 0.05  # added at both ends of a range, as a share of it
_APART = 0.618  # offset between successive runs at one option, as a share of its width


def field_slice(findings: SweepFindings, along: FieldAxis) -> Drawing:
    """Draw the score against the value of one field, with a style for each state and a ring around the best run."""
    data, goal = findings.data, findings.spec.metric.goal
    known = [
        index for index, score in enumerate(data.scores) if score is not None and _x(data, along, index) is not None
    ]
    cut = window([score for score in data.scores if score is not None], goal)
    traces = [
        _dots(findings, along, [index for index in known if data.states[index] is state], cut, state)
        for state in dict.fromkeys(data.states[index] for index in known)
    ]
    best = [index for index in known if data.numbers[index] == winner(findings)]
    ring = {"symbol": "circle-open", "size": 18, "color": COLOURS[1], "line": {"width": 2.4}}
    traces += [_trace(findings, along, best, cut, ring) | {"showlegend": False}] if best else []
    layout = {
        "xaxis": _field_axis(along, [x for index in known if (x := _x(data, along, index)) is not None]),
        "yaxis": axis(metric_axis(findings.spec.metric.name), **({} if cut is None else {"range": _roomy(cut)})),
        "showlegend": True,
    }
    title = f"{score_title(findings)} along {along.field}"
    return drawn(slug("slice", along.field), title, _slice_reading(findings, along, cut), traces, layout, 320)


def _dots(
    findings: SweepFindings, along: FieldAxis, indices: Sequence[int], cut: Window | None, state: RunState
) -> dict[str, Any]:
    colour, symbol, _ = STYLES[state]
    down = "triangle-down-open" if findings.spec.metric.goal == "maximize" else "triangle-up-open"
    shown = [symbol if _within(findings.data.scores[index], cut) else down for index in indices]
    symbols: Any = symbol if set(shown) == {symbol} else shown
    marker = {"color": colour, "symbol": symbols, "size": 9, "line": {"width": 1.4, "color": colour}}
    return {**_trace(findings, along, indices, cut, marker), "name": state.value.lower()}


def _within(score: float | None, cut: Window | None) -> bool:
    return score is None or cut is None or cut.low <= score <= cut.high


def _trace(
    findings: SweepFindings, along: FieldAxis, indices: Sequence[int], cut: Window | None, marker: dict[str, Any]
) -> dict[str, Any]:
    data = findings.data
    scores = [data.scores[index] for index in indices]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rounded([_x(data, along, index) for index in indices]),
        "y": rounded(
            [score if score is None or cut is None else min(max(score, cut.low), cut.high) for score in scores]
        ),
        "marker": marker,
        "cliponaxis": False,
        "hovertext": [
            escaped(f"run {data.numbers[index]}: {value_text(data.columns[along.field][index])}, {score_text(score)}")
            for index, score in zip(indices, scores, strict=True)
        ],
        "hoverinfo": "text",
    }


def _x(data: SpaceData, along: FieldAxis, index: int) -> float | None:
    """Return the x position of a run: its value, or a spot beside the other runs with the same option."""
    value, place = data.columns[along.field][index], data.places[along.field][index]
    if along.kind == "options":
        spread = (_APART * data.numbers[index]) % 1.0 - 0.5
        return None if place is None else place * (len(along.options) - 1) + 0.36 * spread
    return float(value) if isinstance(value, int | float) and (along.kind == "linear" or value > 0) else None


def _field_axis(along: FieldAxis, values: Sequence[float]) -> dict[str, Any]:
    if along.low is None or along.high is None:
        labels = [shortened(unquoted(option), 24) for option in along.options]
        named = names_axis(labels, range=[-0.5, len(labels) - 0.5])
        return {**named, "title": {"text": escaped(along.field), "standoff": 12, "font": {"size": 12}}}
    low, high = min(along.low, *values, math.inf), max(along.high, *values, -math.inf)
    if along.kind == "linear":
        room = _ROOM * (high - low)
        return axis(escaped(along.field), range=[low - room, high + room], nticks=7)
    a, b = math.log10(low), math.log10(high)
    steps = {"dtick": max(1, math.ceil((b - a) / 6)), "exponentformat": "power"} if b - a > 1.5 else {"nticks": 6}
    return axis(f"{escaped(along.field)} (log)", type="log", range=[a - _ROOM * (b - a), b + _ROOM * (b - a)], **steps)


def _roomy(cut: Window) -> list[float]:
    room = 0.06 * (cut.high - cut.low)
    return [cut.low - room, cut.high + room]


def _slice_reading(findings: SweepFindings, along: FieldAxis, cut: Window | None) -> str:
    data = findings.data
    good = [
        index
        for index in best_quarter(data.scores, findings.spec.metric.goal)
        if data.columns[along.field][index] is not None
    ]
    scored = sum(score is not None for score in data.scores)
    if not good:
        return "No run in the best quarter has this field."
    values = [data.columns[along.field][index] for index in good]
    who = f"The best quarter ({len(good)} of {counted(scored, 'run')})"
    if along.kind == "options":
        texts = [value_text(value) for value in values]
        counts = ", ".join(f"{texts.count(text)} at {shortened(text, 24)}" for text in dict.fromkeys(texts))
        words = f"{who}: {counts}"
    else:
        low, high = (end(float(value) for value in values if isinstance(value, int | float)) for end in (min, max))
        words = f"{who} lies between {number(low)} and {number(high)}; its best run is at {value_text(values[0])}"
    ring = f" The ring marks run {winner(findings)}, the best run." if winner(findings) is not None else ""
    return f"{words}.{ring}{_cut_words(cut, findings.spec.metric.goal)}"


def _cut_words(cut: Window | None, goal: str) -> str:
    if cut is None:
        return ""
    side = "below" if goal == "maximize" else "above"
    mark = "The triangle marks" if cut.beyond == 1 else "Triangles mark"
    return f" {mark} {counted(cut.beyond, 'score')} {side} the axis range."


def contour(findings: SweepFindings) -> Drawing | None:
    """Draw the two most important fields against each other, with the score as colour; None without two ranges."""
    data = findings.data
    if data.contour is None:
        return None
    by_name = {one.field: one for one in data.axes}
    first, second = (by_name[field] for field in data.contour)
    known = [
        index
        for index, score in enumerate(data.scores)
        if score is not None and _x(data, first, index) is not None and _x(data, second, index) is not None
    ]
    x, y = ([value for index in known if (value := _x(data, one, index)) is not None] for one in (first, second))
    layout = {"xaxis": _field_axis(first, x), "yaxis": _field_axis(second, y)}
    quarter = best_quarter(data.scores, findings.spec.metric.goal)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(x),
        "y": rounded(y),
        "marker": _scale(findings, known, quarter),
        "hovertext": [f"run {data.numbers[index]}: {number(data.scores[index] or 0.0)}" for index in known],
        "hoverinfo": "text",
    }
    title = f"{score_title(findings)} over the two most important fields"
    return drawn("contour", title, _contour_reading(findings, quarter), [trace], layout, 360)


def _scale(findings: SweepFindings, known: Sequence[int], quarter: Sequence[int]) -> dict[str, Any]:
    data, goal = findings.data, findings.spec.metric.goal
    scores = [score for index in known if (score := data.scores[index]) is not None]
    cut = window(scores, goal)
    low, high = (min(scores), max(scores)) if cut is None else (cut.low, cut.high)
    return {
        "color": rounded(scores),
        "cmin": low,
        "cmax": high,
        "colorscale": "Cividis",
        "reversescale": goal == "minimize",
        "showscale": True,
        "colorbar": {"thickness": 10, "len": 1, "nticks": 6, "outlinewidth": 0},
        "size": [15 if index in quarter else 9 for index in known],
        "symbol": ["x" if data.states[index] is RunState.DIVERGED else "circle" for index in known],
        "line": {"width": 1, "color": GREY},
    }


def _contour_reading(findings: SweepFindings, quarter: Sequence[int]) -> str:
    data = findings.data
    if data.contour is None or not quarter:
        return "No run has a score."
    at = ", ".join(f"{field} {value_text(data.columns[field][quarter[0]])}" for field in data.contour)
    large = f"large points are the best quarter ({counted(len(quarter), 'run')})"
    best, metric = number(data.scores[quarter[0]] or 0.0), metric_axis(findings.spec.metric.name)
    return f"The best score, {best}, is at {at}. Colour shows {metric}; {large}."
