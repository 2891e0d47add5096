"""Figures of the tuning: the score of each try, and the expected best of n tries."""

from collections.abc import Sequence
from typing import Any

from analysis.ablation.arms.tuning import Try, Tuning
from analysis.figures.drawing import (
    COLOURS,
    DASHES,
    SYMBOLS,
    Drawing,
    axis,
    drawn,
    legend_name,
    metric_axis,
    names_axis,
    rounded,
    slug,
)
from analysis.wording import number, value_text
from search_spaces import Value
from search_spaces.values import distinct, identity


def isolation(tunings: Sequence[Tuning], field: str) -> Drawing:
    """Draw the tries of each arm along one tuned field, with a ring around the best try of each arm."""
    values = [one.point[field] for tuning in tunings for one in tuning.tries]
    places = _places(values)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    traces = []
    for index, tuning in enumerate(tunings):
        known = [one for one in tuning.tries if one.value is not None]
        style = {"color": COLOURS[index % len(COLOURS)], "symbol": SYMBOLS[index % len(SYMBOLS)]}
        name = legend_name(tuning.arm)
        best = [tuning.tries[tuning.best]] if tuning.tries[tuning.best].value is not None else []
        traces += [_points(known, field, places, name, {**style, "size": 9}, True)]
        ring = {"symbol": "circle-open", "size": 20, "color": style["color"], "line": {"width": 2}}
        traces += [_points(best, field, places, name, ring, False)]
    labels = [value_text(value) for value in distinct(values)]
    far = numeric and _decades(list(places.values()))
    scale = {"type": "log", "dtick": 1, "exponentformat": "power"} if far else {}
    layout = {
        "xaxis": axis(field, **scale) if numeric else {**names_axis(labels), "title": {"text": field}},
        "yaxis": axis(metric_axis(tunings[0].metric)),
        "showlegend": True,
    }
    best_words = [f"{one.arm} at {value_text(one.tries[one.best].point[field])}" for one in tunings[:4]]
    return drawn(
        slug("isolation", field),
        f"All tries along {field}",
        f"Best tries (ringed): {', '.join(best_words)}.",
        traces,
        layout,
        360,
    )


def best_of_n(tunings: Sequence[Tuning]) -> Drawing:
    """Draw the expected best score of 1, 2, ... tries of each arm; a curve that is not flat calls for more tries."""
    traces = []
    for index, one in enumerate(tunings):
        at = index % len(COLOURS)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": legend_name(one.arm),
                "x": list(range(1, len(one.best_of_n) + 1)),
                "y": rounded(one.best_of_n),
                "line": {"color": COLOURS[at], "dash": DASHES[at], "width": 2},
                "marker": {"symbol": SYMBOLS[at], "size": 7},
                "hoverinfo": "x+y+name",
            }
        )
    known = [one for one in tunings if len(one.best_of_n) > 1][:4]
    words = [f"{one.arm} by {number(abs(one.best_of_n[-1] - one.best_of_n[-2]))}" for one in known]
    changed = f"The last try changed the expected best score of {', of '.join(words)}."
    reading = changed if words else "No arm has two tries."
    layout = {
        "xaxis": axis("number of tries", dtick=_step(tunings)),
        "yaxis": axis(metric_axis(tunings[0].metric)),
        "showlegend": True,
    }
    return drawn("best-of-n", "Expected best score of n tries", reading, traces, layout, 340)


def _decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 30


def _step(tunings: Sequence[Tuning]) -> int:
    return max(1, max(len(one.best_of_n) for one in tunings) // 8)


def _places(values: Sequence[Value]) -> dict[object, float]:
    """Return identity -> position of each value: a number at itself, anything else in order of first appearance."""
    keys = [identity(value) for value in values]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return dict(zip(keys, numbers, strict=True))
    return {key: float(place) for place, key in enumerate(dict.fromkeys(keys))}


def _points(
    tries: Sequence[Try], field: str, places: dict[object, float], name: str, marker: dict[str, Any], legend: bool
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "showlegend": legend,
        "x": rounded([places[identity(one.point[field])] for one in tries]),
        "y": rounded([one.value for one in tries]),
        "marker": marker,
        "hoverinfo": "x+y+name",
    }
