"""Numbers, intervals and p values as every report writes them."""

from __future__ import annotations

from analysis.statistics.intervals import Interval


def number(value: float) -> str:
    """A number with three significant digits, and none of them in the exponent where that can be."""
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text and abs(value) >= 1e-5 else text


def signed(value: float) -> str:
    """As `number`, with its sign."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def between(interval: Interval) -> str:
    """``[0.008, 0.016]``."""
    return f"[{number(interval.low)}, {number(interval.high)}]"


def p_words(p: float) -> str:
    """``p = .002``, as the field writes it."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
