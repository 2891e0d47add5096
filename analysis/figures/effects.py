"""Figures of treatment effects: forest plot, paired slopes, interactions, power."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from analysis.ablation.claims import Claim
from analysis.ablation.crossings import Crossing
from analysis.ablation.findings import PowerCurve
from analysis.figures.drawing import (
    BAND,
    COLOURS,
    DASHES,
    GREY,
    SYMBOLS,
    Drawing,
    across,
    axis,
    drawn,
    escaped,
    legend_name,
    metric_axis,
    names_axis,
    rounded,
    slug,
)
from analysis.wording import number, part_of, signed
from search_spaces import Metrics
from search_spaces.values import counted


def forest(claims: Sequence[Claim], metrics: Metrics) -> Drawing:
    """Draw the mean change of every claim with its interval, its single pairs and the margin."""
    rows = list(reversed(claims))  # the first at the top
    labels = [f"{one.contrast.name} ({one.design})" for one in rows]
    traces = [trace for place, one in enumerate(rows) for trace in _effect(place, one)]
    shapes = [across("x", 0.0, width=1.4, dash="solid")]
    if metrics.margin is not None:
        shapes = [_band(-metrics.margin, metrics.margin), *shapes]
    side = "left" if metrics.goal == "minimize" else "right"
    layout = {
        "xaxis": axis(
            f"change in {metric_axis(metrics.primary)}<br>{side} of 0 is better", range=_reach(claims, metrics)
        ),
        "yaxis": names_axis(labels, range=[-0.7, len(rows) - 0.3]),
        "shapes": shapes,
        "annotations": [_nothing(place) for place, one in enumerate(rows) if one.comparison is None],
    }
    return drawn(
        "forest",
        "Every effect with its interval",
        _forest_reading(claims, metrics),
        traces,
        layout,
        130 + 64 * len(rows),
    )


def _nothing(place: int) -> dict[str, Any]:
    text = {"text": "no complete pair", "showarrow": False, "font": {"color": GREY}}
    return {**text, "xref": "paper", "x": 0.02, "xanchor": "left", "y": place}


def _effect(place: int, claim: Claim) -> list[dict[str, Any]]:
    comparison = claim.comparison
    if comparison is None:
        return []
    colour = COLOURS[0] if claim.design == "matched" else COLOURS[1]
    spread = [
        place - 0.26 - 0.05 * (index % 3) for index in range(comparison.n)
    ]  # dots at the same height would overlap
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(comparison.deltas),
        "y": rounded(spread),
        "marker": {"size": 6, "color": "rgba(0,0,0,0)", "line": {"width": 1.2, "color": GREY}, "symbol": "circle"},
        "hovertext": [f"pair {index}: {signed(delta)}" for index, delta in enumerate(comparison.deltas)],
        "hoverinfo": "text",
    }
    ends = claim.interval
    mean: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded([comparison.delta]),
        "y": [place],
        "marker": {"size": 12, "color": colour, "symbol": SYMBOLS[0 if claim.design == "matched" else 1]},
        "hovertext": [f"{escaped(claim.contrast.name)}: {signed(comparison.delta)}, {claim.verdict.value}"],
        "hoverinfo": "text",
    }
    if ends is not None:
        far = {"array": [ends.high - comparison.delta], "arrayminus": [comparison.delta - ends.low]}
        if isfinite(ends.high - ends.low):
            mean["error_x"] = {"type": "data", "symmetric": False, "thickness": 2.4, "width": 7, "color": colour, **far}
    return [dots, mean]


def _reach(claims: Sequence[Claim], metrics: Metrics) -> list[float]:
    """Return the ends of the axis, with room so that the ends of the margin are visible."""
    ends = [0.0, metrics.margin or 0.0, -(metrics.margin or 0.0)]
    for one in claims:
        ends += [] if one.comparison is None else one.comparison.deltas
        ends += [] if one.interval is None else [end for end in one.interval if isfinite(end)]
    room = 0.08 * (max(ends) - min(ends)) or 1.0
    return [min(ends) - room, max(ends) + room]


def _forest_reading(claims: Sequence[Claim], metrics: Metrics) -> str:
    known = [one.interval for one in claims if one.interval is not None]
    if not known:
        return "No interval can be computed yet."
    beyond = sum(one.excludes(0.0) for one in known)
    inside = None if metrics.margin is None else sum(one.inside(metrics.margin) for one in known)
    band = "" if metrics.margin is None else f"within the margin ±{number(metrics.margin)} (grey)"
    if len(known) == 1:
        words = f"The interval {'excludes' if beyond else 'includes'} 0"
        words += "" if inside is None else f" and {'is' if inside else 'is not'} {band}"
    else:
        words = f"{part_of(beyond, len(known), 'interval', 'excludes', 'exclude')} 0"
        words += "" if inside is None else f"; {inside} of {len(known)} {'is' if inside == 1 else 'are'} {band}"
    return f"{words}. Rings are single pairs."


def slopes(claim: Claim, control: Sequence[float], treatment: Sequence[float], metric: str) -> Drawing:
    """Draw one line per pair, from the control to the treatment.

    Args:
        claim: Claim about two arms.
        control: Metric of the control in each pair; NaN where its run is not complete.
        treatment: Metric of the treatment in each pair, likewise.
        metric: Name of the metric.
    """
    names = claim.contrast.simple or ("control", claim.contrast.name)
    pairs = [(a, b) for a, b in zip(control, treatment, strict=True) if a == a and b == b]
    traces = []
    for index, (a, b) in enumerate(pairs):
        fell = b < a
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [0, 1],
                "y": rounded([a, b]),
                "line": {
                    "color": COLOURS[0] if fell else COLOURS[1],
                    "width": 1.6,
                    "dash": "solid" if fell else "dash",
                },
                "marker": {"size": 7, "symbol": SYMBOLS[0] if fell else SYMBOLS[1]},
                "hovertext": [f"pair {index}: {number(a)}", f"pair {index}: {number(b)}, {signed(b - a)}"],
                "hoverinfo": "text",
            }
        )
    falls, rises = sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)
    layout = {"xaxis": names_axis(names, range=[-0.3, 1.3]), "yaxis": axis(metric_axis(metric))}
    reading = (
        f"{metric} falls in {falls} and rises in {rises} of {counted(len(pairs), 'pair')} (rising lines are dashed)."
    )
    name = slug("slopes", claim.design, str(claim.contrast.name))
    return drawn(name, f"{names[0]} → {names[1]} ({claim.design})", reading, traces, layout, 320)


def interaction(crossing: Crossing, metric: str) -> Drawing:
    """Draw the effect of one factor with and without another; parallel lines mean additive effects."""
    traces = []
    for index, on in enumerate((False, True)):
        means = [crossing.means[False, on], crossing.means[True, on]]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": legend_name(f"{crossing.second} {'on' if on else 'off'}"),
                "x": [0, 1],
                "y": rounded(means),
                "line": {"color": COLOURS[index], "dash": DASHES[index], "width": 2.4},
                "marker": {"size": 10, "symbol": SYMBOLS[index]},
                "hoverinfo": "y+name",
            }
        )
    first, second = crossing.first, crossing.second
    alone = crossing.means[True, False] - crossing.means[False, False]
    beside = crossing.means[True, True] - crossing.means[False, True]
    reading = f"{first} changes {metric} by {signed(alone)} without {second} and by {signed(beside)} with it."
    layout = {
        "xaxis": names_axis([f"{first} off", f"{first} on"], range=[-0.3, 1.3]),
        "yaxis": axis(metric_axis(metric)),
        "showlegend": True,
    }
    title = f"{first} with and without {second} ({crossing.design})"
    return drawn(slug("interaction", crossing.design, first, second), title, reading, traces, layout, 340)


def power_curves(curves: Sequence[PowerCurve], metrics: Metrics) -> Drawing:
    """Draw the probability that more pairs detect the margin, at the observed standard deviation."""
    traces, shown = [], curves[: len(COLOURS)]
    for index, curve in enumerate(shown):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": legend_name(f"{curve.contrast.name} ({curve.design})"),
                "x": list(curve.pairs),
                "y": rounded(curve.power),
                "line": {"color": COLOURS[index], "dash": DASHES[index], "width": 2.4},
                "hoverinfo": "x+y+name",
            }
        )
    layout = {
        "xaxis": axis("number of pairs"),
        "yaxis": axis("probability of detection", range=[0, 1.04]),
        "shapes": [across("y", 0.8)],
        "showlegend": True,
    }
    reading = "; ".join(_power_words(curve, index) for index, curve in enumerate(shown))
    return drawn("power", "Power by number of pairs", f"{reading}.", traces, layout, 340)


def _power_words(curve: PowerCurve, index: int) -> str:
    enough = next((pairs for pairs, power in zip(curve.pairs, curve.power, strict=True) if power >= 0.8), None)
    what = f"{curve.contrast.name} ({curve.design})"
    change = f"a change of {number(curve.effect)}" if index == 0 else number(curve.effect)
    if enough is None:
        return f"{what} does not reach power .8 for {change} within {counted(curve.pairs[-1], 'pair')}"
    return f"{what} reaches power .8 for {change} at {counted(enough, 'pair')}"


def _band(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": low,
        "x1": high,
        "fillcolor": BAND,
        "line": {"width": 1, "color": GREY, "dash": "dot"},
        "layer": "below",
    }
