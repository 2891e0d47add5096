"""Reliability diagrams: does the confidence of a model match its accuracy?"""

from typing import Any

from analysis.ablation.arms.calibration import ArmCalibration
from analysis.calibration.reliability import Reliability
from analysis.figures.drawing import BAND, COLOURS, GREY, Drawing, axis, drawn, rounded, slug
from search_spaces.values import counted


def reliability_diagram(design: str, arm: str, page: ArmCalibration, evaluated: str) -> Drawing:
    """Draw accuracy against confidence of one arm, with the histogram of the confidences below.

    Args:
        design: `matched` or `retuned`.
        arm: Name of the arm.
        page: Calibration of the arm.
        evaluated: How the predictions were made: "as trained", "after temperature 2.5".
    """
    name = slug("reliability", design, arm, evaluated)
    traces = [*_expected(page.diagram), _points(page.diagram), _histogram(page.diagram)]
    return drawn(name, f"{arm}, {evaluated} ({design})", _reading(page), traces, _layout(), 380)


def _expected(bins: Reliability) -> list[dict[str, Any]]:
    """Return the diagonal of a calibrated model and the band around it."""
    edge: dict[str, Any] = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    edge |= {"x": rounded(bins.confidence.tolist()), "line": {"width": 0, "color": GREY}}
    high, low = rounded(bins.consistent_high.tolist()), rounded(bins.consistent_low.tolist())
    diagonal = {**edge, "x": [0, 1], "y": [0, 1], "line": {"color": GREY, "width": 1, "dash": "dot"}}
    return [{**edge, "y": high}, {**edge, "y": low, "fill": "tonexty", "fillcolor": "rgba(127,127,127,0.28)"}, diagonal]


def _points(bins: Reliability) -> dict[str, Any]:
    """Return one point per bin, hollow where the bin holds few examples."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(bins.confidence.tolist()),
        "y": rounded(bins.accuracy.tolist()),
        "marker": {
            "size": 9,
            "symbol": ["circle-open" if few else "circle" for few in bins.hollow.tolist()],
            "color": COLOURS[0],
            "line": {"width": 1.6, "color": COLOURS[0]},
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": rounded((bins.wilson_high - bins.accuracy).tolist()),
            "arrayminus": rounded((bins.accuracy - bins.wilson_low).tolist()),
            "thickness": 1.3,
            "width": 3,
            "color": COLOURS[0],
        },
        "hovertext": [
            f"{count} examples: confidence {confidence:.3f}, accuracy {right:.3f}"
            for count, confidence, right in zip(
                bins.count.tolist(), bins.confidence.tolist(), bins.accuracy.tolist(), strict=True
            )
        ],
        "hoverinfo": "text",
    }


def _histogram(bins: Reliability) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": rounded(bins.centre.tolist()),
        "y": bins.count.tolist(),
        "width": rounded((bins.high - bins.low).tolist()),
        "marker": {"color": BAND, "line": {"color": GREY, "width": 1}},
        "xaxis": "x",
        "yaxis": "y2",
        "hoverinfo": "y",
    }


def _layout() -> dict[str, Any]:
    return {
        "xaxis": axis("confidence", range=[0, 1.03], anchor="y2"),
        "yaxis": axis("accuracy", range=[-0.03, 1.03], domain=[0.3, 1]),
        "yaxis2": axis("examples", domain=[0, 0.22], nticks=3),
        "bargap": 0,
    }


def _reading(page: ArmCalibration) -> str:
    side = "Overconfident" if page.gap > 0 else "Underconfident"
    judged = "above" if page.ece > page.null_upper else "within"
    return (
        f"{side} by {abs(page.gap):.3f} on average. ECE {page.ece:.3f} is {judged} the 95 % limit of a calibrated "
        f"model ({page.null_upper:.3f}). The points show the first of {counted(page.pairs, 'pair')}."
    )
