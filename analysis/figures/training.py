"""Figures of the trainings of an ablation: learning curves over pairs, and training time."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.ablation.arms.curves import ArmCurve
from analysis.figures.drawing import (
    BAR_LEGEND,
    COLOURS,
    DASHES,
    PATTERNS,
    SYMBOLS,
    Drawing,
    axis,
    bars,
    drawn,
    legend_name,
    metric_axis,
    names_axis,
    rounded,
    slug,
    spans,
)
from analysis.wording import number


def curves(arms: Sequence[ArmCurve]) -> Drawing:
    """Draw one metric of one design by epoch or step: the mean over pairs, in a band from the smallest to the largest.

    Args:
        arms: Curves of the same design and metric, at least one.
        unit: What is counted as epochs: "epoch" or "step".
    """
    first = arms[0]
    traces = [trace for index, arm in enumerate(arms) for trace in _curve(index, arm)]
    every = [value for arm in arms for value in (*arm.low, *arm.high)]
    scale = {"type": "log", "exponentformat": "power", "nticks": 8} if spans(every) else {}
    layout = {
        "xaxis": axis(first.unit, tick0=0, dtick=max(1, max(arm.epochs[-1] for arm in arms) // 6)),
        "yaxis": axis(metric_axis(first.metric), **scale),
        "showlegend": True,
    }
    title = f"{first.metric} by {first.unit} ({first.design})"
    return drawn(slug("curve", first.design, first.metric), title, _ends(arms), traces, layout, 340)


def _curve(index: int, arm: ArmCurve) -> list[dict[str, Any]]:
    """Return the mean of an arm over its pairs, and the band of their range."""
    at = index % len(COLOURS)
    line = {"type": "scatter", "x": list(arm.epochs), "legendgroup": str(index)}
    edge = {**line, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    mean = {
        **line,
        "mode": "lines+markers",
        "name": legend_name(arm.arm),
        "y": rounded(arm.mean),
        "line": {"color": COLOURS[at], "dash": DASHES[at], "width": 2},
        "marker": {"symbol": SYMBOLS[at], "size": 6},
        "hoverinfo": "x+y+name",
    }
    low = {**edge, "y": rounded(arm.low), "fill": "tonexty", "fillcolor": _clear(COLOURS[at])}
    return [{**edge, "y": rounded(arm.high)}, low, mean]


def _ends(arms: Sequence[ArmCurve]) -> str:
    ranked = sorted(arms, key=lambda arm: arm.mean[-1])
    low, high = ranked[0], ranked[-1]
    words = f"{low.arm} ends at {number(low.mean[-1])}"
    if len(ranked) > 1:
        words = f"The arms end between {number(low.mean[-1])} ({low.arm}) and {number(high.mean[-1])} ({high.arm})"
    return f"{words}; bands show the range over pairs."


def costs(seconds: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Draw the training time of each arm.

    Args:
        seconds: Trained arm -> `tuning`, `matched` or `retuned` -> seconds.
    """
    arms = list(seconds)[::-1]
    kinds = list(dict.fromkeys(kind for each in seconds.values() for kind in each))
    traces: list[dict[str, Any]] = [
        bars(
            kind if kind == "tuning" else f"pairs ({kind})",
            rounded([seconds[arm].get(kind, 0.0) for arm in arms]),
            COLOURS[index],
            PATTERNS[index],
        )
        for index, kind in enumerate(kinds)
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.45,
        "xaxis": axis("training time (s)"),
        "yaxis": names_axis(arms),
        **BAR_LEGEND,
    }
    total = {arm: sum(each.values()) for arm, each in seconds.items()}
    most = max(total, key=lambda arm: total[arm])
    reading = f"{number(sum(total.values()))} s in total; {most} took longest ({number(total[most])} s)."
    return drawn("costs", "Training time by arm", reading, traces, layout, 150 + 44 * len(arms))


def _clear(colour: str) -> str:
    """Return the colour with high transparency."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"
