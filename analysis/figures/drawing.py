"""Shared by all figures: styles that do not rely on colour, escaped text, and output as JSON, scripts and PNG."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.statistics.intervals import Interval
from analysis.wording import shortened

# The palette of Okabe and Ito, ordered so that neighbours also differ in lightness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERNS = ("", "/", "x", ".", "-", "+")
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
BAR_LEGEND = {"showlegend": True, "legend": {**LEGEND, "traceorder": "normal"}}
GREY = "#7f7f7f"
BAND = "rgba(127,127,127,0.18)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_UNITS = {"nll": "nats", "accuracy": "share correct", "ece": "share", "brier": "0 to 2"}
_LINE = 22  # characters per line of a label, to fit beside a plot on a phone


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption.

    Attributes:
        name: Identifier of letters, digits and hyphens; the same in every report.
        title: Short title, plain text.
        reading: What the figure shows, with its numbers; one or two sentences of plain text.
        figure: The plotly figure, without title and reading.
        height: Height of the figure in pixels.
    """

    name: str
    title: str
    reading: str
    figure: go.Figure
    height: int

    @property
    def whole(self) -> int:
        """Height in pixels with the title, the reading and the legend."""
        return self.height + 60 + 30 * bool(self.figure.layout.showlegend)

    @property
    def json(self) -> str:
        """Return the figure as JSON for plotly.js, safe inside a script element."""
        return script_safe(self.figure.to_json())

    @property
    def titled(self) -> go.Figure:
        """Return the figure with its title and reading inside, for use without a caption."""
        copy = go.Figure(self.figure)
        wrapped = "<br>".join(escaped(line) for line in _wrapped(self.reading, 84))
        rows = wrapped.count("<br>") + 1
        copy.update_layout(
            title={
                "text": escaped(self.title),
                "subtitle": {"text": wrapped, "font": {"size": 12}},
                "x": 0.01,
                "xanchor": "left",
                "yref": "container",
                "y": 1 - 22 / self.whole,
            },
            height=self.whole,
            margin={"t": 58 + 18 * rows + self.whole - self.height - 60},
            paper_bgcolor="white",
            plot_bgcolor="white",
        )
        return copy


def drawn(
    name: str,
    title: str,
    reading: str,
    traces: Sequence[Mapping[str, Any]],
    layout: Mapping[str, Any],
    height: int = 340,
) -> Drawing:
    """Make a drawing from traces and a layout, in the common style."""
    base: dict[str, Any] = {
        "template": "none",  # the default template would be repeated in every figure
        "font": {"family": FONT, "size": 13, "color": "#333333"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 10, "r": 12, "t": 12, "b": 10},
        "height": height,
        "autosize": True,
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,  # scrolling on a touch screen must not zoom the figure
        "legend": LEGEND,
    }
    figure = go.Figure({"data": [dict(trace) for trace in traces], "layout": {**base, **layout}})
    return Drawing(name, title, reading, figure, height)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a title; `more` holds further plotly properties."""
    return {
        "title": {"text": title, "standoff": 12, "font": {"size": 12}},
        "automargin": True,
        "gridcolor": "rgba(127,127,127,0.22)",
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": GREY,
        **more,
    }


def across(along: str, at: float, **style: Any) -> dict[str, Any]:
    """Return a thin dotted line across the plot, vertical for `x`; `style` holds further properties of the line."""
    other = "y" if along == "x" else "x"
    ends = {f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1, f"{along}0": at, f"{along}1": at}
    line = {"color": GREY, "width": 1.2, "dash": "dot", **style}
    return {"type": "line", "line": line, "layer": "below", **ends}


def names_axis(labels: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return an axis with these labels at 0, 1, 2, ...; a label that looks like a number stays text."""
    texts = ["<br>".join(escaped(line) for line in _wrapped(label, _LINE)) for label in labels]
    return axis("", tickvals=list(range(len(texts))), ticktext=texts, **more)


def escaped(text: str) -> str:
    """Escape HTML tags, entities and `$formulas$`, which plotly interprets in any text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def legend_name(text: str) -> str:
    """Return a name for a legend, shortened and escaped."""
    return escaped(shortened(text, 28))


def bars(name: str, lengths: Sequence[Any], colour: str, pattern: str, **more: Any) -> dict[str, Any]:
    """Return a trace of horizontal bars at 0, 1, 2, ...; `more` holds further plotly properties."""
    hatching = {"shape": pattern, "fgcolor": "white", "bgcolor": colour, "solidity": 0.3}
    look = {"marker": {"color": colour, "pattern": hatching}, "hoverinfo": "x+name"}
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": lengths,
        "y": list(range(len(lengths))),
        **look,
        **more,
    }


def error_bars(values: Sequence[float], intervals: Sequence[Interval | None], **style: Any) -> dict[str, Any]:
    """Return the error bars from values to the ends of their intervals, of length 0 without an interval."""
    both = list(zip(values, intervals, strict=True))
    up = rounded([interval.high - value if interval else 0.0 for value, interval in both])
    down = rounded([value - interval.low if interval else 0.0 for value, interval in both])
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **style}


def metric_axis(metric: str) -> str:
    """Return a metric with its unit: ``test/nll`` -> ``test/nll (nats)``."""
    unit = _UNITS.get(metric.partition("/")[2])
    return f"{metric} ({unit})" if unit else metric


def slug(*parts: str) -> str:
    """Return an id of letters, digits and hyphens; parts that differ only in other characters give the same id."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def rounded(values: Sequence[float | None]) -> list[float | None]:
    """Round to six significant digits, enough for a screen and a third of the bytes."""
    return [None if value is None or value != value else float(f"{value:.6g}") for value in values]


def spans(values: Sequence[float]) -> bool:
    """Return whether the values span more than three decades and need a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 1000


def script_safe(text: str) -> str:
    """Escape JSON so that it cannot end the script element it is in."""
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def plotly_js() -> str:
    """Return the source of plotly.js, safe inside a script element."""
    source: str = get_plotlyjs()
    return re.sub(r"</(?=script)", r"<\\/", source.replace("\r\n", "\n"), flags=re.IGNORECASE)


def write_pngs(drawings: Sequence[Drawing], folder: Path) -> str | None:
    """Write each drawing as ``NAME.png``.

    Returns:
        The reason if no files were written, as part of a sentence; None on success.
    """
    try:
        import kaleido
        from kaleido.errors import KaleidoError
    except ImportError:
        return "the extra `png` is not installed: pip install 'sweeps[png]'"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{drawing.name}.png" for drawing in drawings]
    work = [
        {
            "fig": drawing.titled.to_dict(),
            "path": path,
            "opts": {"format": "png", "width": 860, "height": drawing.whole, "scale": 1.5},
        }
        for drawing, path in zip(drawings, paths, strict=True)
    ]
    try:
        # One browser draws all figures, because starting it takes longest. MathJax would be loaded from the network.
        kaleido.write_fig_from_object_sync(work, kopts={"mathjax": False})
    except (KaleidoError, RuntimeError, OSError, ValueError) as error:
        for path in paths:
            path.unlink(missing_ok=True)
        reason = str(error).strip().partition("\n")[0]
        return f"no Chrome or Chromium could draw them ({reason[:120] or type(error).__name__})"
    return None


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        for piece in [word[at : at + width] for at in range(0, len(word), width)] or [""]:
            if line and len(line) + 1 + len(piece) > width:
                lines.append(line)
                line = piece
            else:
                line = f"{line} {piece}" if line else piece
    return [*lines, line]
