"""The learning-rate range test as a figure."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.drawing import COLOURS, GREY, Drawing, axis, drawn
from trainers.sanity.lr_curve import SETTLED, LrScan, rate_text


def lr_scan(scan: LrScan) -> Drawing:
    """The smoothed training loss over the learning rate, with what is suggested."""
    start = SETTLED if len(scan.lrs) > 2 * SETTLED else 0
    traces = [
        _line(scan.lrs[start:], scan.losses[start:], "each step", {"color": GREY, "width": 1}, 0.5),
        _line(scan.lrs[start:], scan.smoothed[start:], "smoothed", {"color": COLOURS[0], "width": 3}, 1.0),
    ]
    layout = {
        "xaxis": axis("optimizer.lr", type="log", exponentformat="power"),
        "yaxis": axis("training loss (nats)", range=_range(scan.smoothed[start:])),
        "shapes": _marks(scan),
    }
    title = f"{scan.task}, {scan.optimizer}: which learning rates train"
    return drawn("lr-scan", title, _reading(scan), traces, layout)


def _line(
    x: tuple[float, ...], y: tuple[float, ...], name: str, line: dict[str, object], opacity: float
) -> dict[str, object]:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": line, "opacity": opacity}


def _range(losses: tuple[float, ...]) -> list[float]:
    """Of the axis: from the best loss to a little above the first, however high the blow-up goes."""
    low, first = min(losses), losses[0]
    return [low - 0.1 * (first - low), first + 0.5 * (first - low)]


def _marks(scan: LrScan) -> list[dict[str, object]]:
    found = scan.suggestion
    if found is None:
        return []
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": found.lr, "x1": found.lr, "line": {"dash": "dash"}}
    band = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": found.low, "x1": found.high}
    return [line, {**band, "fillcolor": GREY, "opacity": 0.15, "line": {"width": 0}}]


def _reading(scan: LrScan) -> str:
    found = scan.suggestion
    if found is None:
        return "The loss falls at no rate by more than its noise, so nothing is suggested."
    blow_up = "it never blows up" if found.blow_up is None else f"it blows up at {rate_text(found.blow_up)}"
    span = f"{rate_text(found.low)} to {rate_text(found.high)}"
    return (
        f"The loss falls steepest at {rate_text(found.lr)} (dashed) and {blow_up}; the band, {span}, is to be searched."
    )


def write_page(drawing: Drawing, path: Path) -> Path:
    """Write a figure as a page of its own that loads nothing; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {"showSendToCloud": False, "displaylogo": False}
    drawing.titled.write_html(path, include_plotlyjs=True, config=config, div_id=drawing.name)
    return path
