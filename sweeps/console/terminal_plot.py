"""Draws a curve over a logarithmic axis with characters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BLANK = 0x2800  # first braille pattern of Unicode; each of the eight dots is a bit
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MARGIN = 9


@dataclass(frozen=True)
class Canvas:
    """Size of a plot. Each character has 2 x 4 dots.

    Attributes:
        width: Width in characters, without the labels of the vertical axis.
        height: Height in rows, without the horizontal axis.
        unicode: Whether the terminal can show more than ASCII.
    """

    width: int = 70
    height: int = 20
    unicode: bool = True


def log_plot(xs: Sequence[float], ys: Sequence[float], marks: Mapping[float, str], canvas: Canvas) -> list[str]:
    """Return the rows of a plot. Values above its top are drawn at its top.

    Args:
        xs: Positive and rising positions.
        ys: Values at these positions; those that are not finite are left out.
        marks: Position -> character of a vertical line.
        canvas: Size of the plot.
    """
    low = min(y for y in ys if math.isfinite(y))
    # Show at most half as much above the start as the curve falls below it: divergence would flatten the rest.
    first = next(y for y in ys if math.isfinite(y))
    high = min(max(y for y in ys if math.isfinite(y)), first + max(0.5 * (first - low), 0.1 * abs(first)))
    high = high if high > low else low + 1.0
    left, right = math.log10(xs[0]), math.log10(xs[-1])
    across, down = 2 * canvas.width - 1, 4 * canvas.height - 1
    cells = [[0] * canvas.width for _ in range(canvas.height)]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            column = round((math.log10(x) - left) / (right - left) * across)
            row = round((high - min(y, high)) / (high - low) * down)
            cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    rows = [[_character(cell, canvas.unicode) for cell in row] for row in cells]
    for x, mark in marks.items():
        column = round((math.log10(x) - left) / (right - left) * (canvas.width - 1))
        if 0 <= column < canvas.width:
            for line in rows:
                line[column] = mark if line[column] == " " else line[column]
    labels = {0: f"{high:.3g}", canvas.height - 1: f"{low:.3g}"}
    texts = [f"{labels.get(number, ''):>{_MARGIN - 2}} {''.join(line)}".rstrip() for number, line in enumerate(rows)]
    return [*texts, *_axis(left, right, canvas)]


def _character(cell: int, unicode: bool) -> str:
    if not cell:
        return " "
    return chr(_BLANK + cell) if unicode else "*"


def _axis(left: float, right: float, canvas: Canvas) -> list[str]:
    """Return the horizontal axis, with a tick and a power of ten at each decade for which there is room."""
    ticks = ["─" if canvas.unicode else "-"] * canvas.width
    labels = [" "] * (canvas.width + 4)
    free = 0
    for decade in range(math.ceil(left - 1e-9), math.floor(right + 1e-9) + 1):
        column = round((decade - left) / (right - left) * (canvas.width - 1))
        ticks[column] = "┴" if canvas.unicode else "+"
        text = f"1e{decade}"
        if column >= free:
            labels[column : column + len(text)] = text
            free = column + len(text) + 1
    indent = " " * (_MARGIN - 1)
    return [indent + "".join(ticks), (indent + "".join(labels)).rstrip()]
