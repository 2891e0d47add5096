"""Parallel coordinates of a sweep."""

from collections.abc import Sequence
from typing import Any

from analysis.figures.drawing import (
    COLOURS,
    GREY,
    Drawing,
    axis,
    drawn,
    escaped,
    legend_name,
    names_axis,
    rounded,
)
from analysis.figures.run_styles import score_text, score_title, winner
from analysis.sweep.best_quarter import best_quarter
from analysis.sweep.findings import SweepFindings
from analysis.sweep.space_data import FieldAxis
from analysis.wording import number, shortened, unquoted, value_text
from search_spaces.values import counted


def parallel(findings: SweepFindings, ranking: Sequence[str]) -> Drawing | None:
    """Draw one line per run through the position of its value in every range, with the score in the top row.

    The axes are rows, so that long names fit on a phone.
    """
    data = findings.data
    axes = sorted(data.axes, key=lambda one: ranking.index(one.field) if one.field in ranking else len(ranking))
    places = _ranks(findings)
    known = [index for index, place in enumerate(places) if place is not None]
    if not axes or not known:
        return None
    quarter = set(best_quarter(data.scores, findings.spec.metric.goal))
    best = {index for index in known if data.numbers[index] == winner(findings)}
    rows = [places, *(data.places[one.field] for one in axes)]
    groups = (
        ("other runs", [index for index in known if index not in quarter | best], (GREY, "line-ns", "dot", 1.0)),
        ("best quarter", sorted(quarter - best), (COLOURS[0], "circle", "solid", 1.6)),
        (f"run {winner(findings)} (best)", sorted(best), (COLOURS[1], "diamond", "dash", 3.0)),
    )
    traces = [_lines(findings, axes, rows, members, style, name) for name, members, style in groups if members]
    layout = {
        "xaxis": axis("position in the range (0 to 1)", range=[-0.05, 1.05], tickvals=[0, 0.5, 1]),
        "yaxis": _rows_axis(findings, axes, known),
        "annotations": _options(axes),
        "showlegend": True,
    }
    return drawn(
        "parallel",
        "All runs in parallel coordinates",
        _parallel_reading(findings, axes),
        traces,
        layout,
        110 + 62 * len(rows),
    )


def _ranks(findings: SweepFindings) -> list[float | None]:
    """Return the rank of each run by score, from 0 to 1 (best); equal scores share their mean rank."""
    sign = 1.0 if findings.spec.metric.goal == "maximize" else -1.0
    turned = [None if score is None else sign * score for score in findings.data.scores]
    known = [score for score in turned if score is not None]
    spread = max(1, len(known) - 1)
    return [
        None
        if score is None
        else (sum(one < score for one in known) + (sum(one == score for one in known) - 1) / 2) / spread
        for score in turned
    ]


def _lines(
    findings: SweepFindings,
    axes: Sequence[FieldAxis],
    rows: Sequence[Sequence[float | None]],
    members: Sequence[int],
    style: tuple[str, str, str, float],
    name: str,
) -> dict[str, Any]:
    """Return all lines of a group as one trace with gaps between the runs."""
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    data, (colour, symbol, dash, width) = findings.data, style
    for index in members:
        places = [row[index] for row in rows]
        x += [*(None if place is None else min(max(place, -0.03), 1.03) for place in places), None]
        y += [*map(float, range(len(rows))), None]
        values = [f"{one.field} {value_text(data.columns[one.field][index])}" for one in axes]
        said = [score_text(data.scores[index]), *values]
        texts += [*(escaped(f"run {data.numbers[index]}: {one}") for one in said), ""]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": legend_name(name),
        "x": rounded(x),
        "y": y,
        "line": {"color": colour, "width": width, "dash": dash},
        "marker": {"size": 6, "symbol": symbol, "color": colour, "line": {"width": 1, "color": colour}},
        "opacity": 0.75 if colour == GREY else 1.0,
        "hovertext": texts,
        "hoverinfo": "text",
    }


def _rows_axis(findings: SweepFindings, axes: Sequence[FieldAxis], known: Sequence[int]) -> dict[str, Any]:
    """Return the axis of the rows: each label holds the range, because labels at its ends would overlap on a phone."""
    scores = [score for index in known if (score := findings.data.scores[index]) is not None]
    worst, best = (min, max) if findings.spec.metric.goal == "maximize" else (max, min)
    ends = [f"{number(worst(scores))} to {number(best(scores))}"]
    for one in axes:
        ranged = one.low is not None and one.high is not None
        ends.append(f"{number(one.low or 0.0)} to {number(one.high or 0.0)}" if ranged else "")
    rows = names_axis(
        [f"rank of {score_title(findings)}", *(one.field for one in axes)], range=[len(ends) - 0.35, -0.45]
    )
    rows["ticktext"] = [f"{name}<br>{end}" if end else name for name, end in zip(rows["ticktext"], ends, strict=True)]
    return rows


def _options(axes: Sequence[FieldAxis]) -> list[dict[str, Any]]:
    """Return the labels of the options below each row that is not a numeric range."""
    return [
        _below(row, at / max(1, len(one.options) - 1), shortened(unquoted(text), 12))
        for row, one in enumerate(axes, start=1)
        for at, text in enumerate(one.options)
    ]


def _below(row: int, place: float, text: str) -> dict[str, Any]:
    font = {"size": 11, "color": GREY}
    at = {
        "x": place,
        "y": row,
        "xanchor": "center" if 0.0 < place < 1.0 else "right" if place else "left",
        "yanchor": "top",
        "yshift": -5,
    }
    return {"text": escaped(text), "showarrow": False, "font": font, **at}


def _parallel_reading(findings: SweepFindings, axes: Sequence[FieldAxis]) -> str:
    data = findings.data
    quarter = best_quarter(data.scores, findings.spec.metric.goal)
    widths = {}
    for one in axes:
        spots = [place for index in quarter if (place := data.places[one.field][index]) is not None]
        if one.kind != "options" and spots:
            widths[one.field] = max(spots) - min(spots)
    lines = f"{counted(sum(score is not None for score in data.scores), 'run')}, one line each"
    if len(quarter) < 2 or not widths:
        return f"{lines}; the best quarter is solid."
    narrow = min(widths, key=lambda field: widths[field])
    return (
        f"{lines}. The best quarter ({len(quarter)} runs, solid) is most concentrated in {narrow}: it spans"
        f" {100 * widths[narrow]:.0f} % of the range."
    )
