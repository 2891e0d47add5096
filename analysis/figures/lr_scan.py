"""Figure of the learning rate range test."""

from pathlib import Path

from analysis.figures.drawing import COLOURS, GREY, Drawing, axis, drawn
from trainers.sanity.lr_curve import SETTLED, LrScan, rate_text


def lr_scan(scan: LrScan) -> Drawing:
    """Draw the smoothed training loss over the learning rate, with the suggested rate and range."""
    start = SETTLED if len(scan.lrs) > 2 * SETTLED else 0
    traces = [
        _line(scan.lrs[start:], scan.losses[start:], "each step", {"color": GREY, "width": 1}, 0.5),
        _line(scan.lrs[start:], scan.smoothed[start:], "smoothed", {"color": COLOURS[0], "width": 3}, 1.0),
    ]
    if scan.runs:
        traces.append(_short_trainings(scan))
    layout = {
        "xaxis": axis("optimizer.lr", type="log", exponentformat="power"),
        "yaxis": axis("training loss", range=_range(scan.smoothed[start:])),
        "shapes": _marks(scan),
    }
    title = f"{scan.task}, {scan.optimizer}: training loss by learning rate"
    return drawn("lr-scan", title, _reading(scan), traces, layout)


def _line(
    x: tuple[float, ...], y: tuple[float, ...], name: str, line: dict[str, object], opacity: float
) -> dict[str, object]:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": line, "opacity": opacity}


def _short_trainings(scan: LrScan) -> dict[str, object]:
    finished = sorted((run.lr, run.loss) for run in scan.runs if run.loss is not None)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [lr for lr, _ in finished],
        "y": [loss for _, loss in finished],
        "name": "val, short training",
        "marker": {"color": COLOURS[1], "size": 10},
    }


def _range(losses: tuple[float, ...]) -> list[float]:
    """Return the ends of the loss axis: the best loss, and a little above the first, however far the loss diverges."""
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
        return "At no learning rate does the loss fall by more than its noise, so there is no suggestion."
    falls = "The loss of the range test does not fall"
    if found.steepest is not None:
        blow_up = "does not diverge" if found.blow_up is None else f"diverges at {rate_text(found.blow_up)}"
        falls = f"The loss falls fastest at {rate_text(found.steepest)} and {blow_up}"
    span = f"{rate_text(found.low)} to {rate_text(found.high)}"
    suggestion = f"The suggestion, {rate_text(found.lr)} (dashed), is {found.origin}"
    return f"{falls}. {suggestion}. Search the grey range, {span}."


def write_page(drawing: Drawing, path: Path) -> Path:
    """Write a figure as a self-contained page and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {"showSendToCloud": False, "displaylogo": False}
    drawing.titled.write_html(path, include_plotlyjs=True, config=config, div_id=drawing.name)
    return path
