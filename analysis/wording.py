"""Numbers, values, intervals and p values as every report and figure prints them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from analysis.statistics.intervals import Interval
from search_spaces import SpaceSpec, Value
from search_spaces.files.yaml_parser import scalar
from search_spaces.values import counted, show
from sweeps.changes import recorded_changes

NONE = "—"
"""A table cell without a value."""

_T = TypeVar("_T")
_ERROR = 200  # characters of an error that a table cell shows


def number(value: float) -> str:
    """Return a number with three significant digits, or more where that avoids an exponent."""
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    if "e" not in text or not 1e-5 <= abs(value) < 1e15:
        return text
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.6f}".rstrip("0").rstrip(".")


def signed(value: float) -> str:
    """Return a number with its sign."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def value_text(value: Value) -> str:
    """Return the value of a recipe field as text; only a text that could be another value has quotes."""
    return number(value) if isinstance(value, float) else unquoted(show(value))


def unquoted(shown: str) -> str:
    """Return what `show` made of a value without its quotes, unless it would then be another value, such as '1'."""
    text = shown.strip("'")
    return text if scalar(text) == text else shown


def between(interval: Interval) -> str:
    """Return an interval as ``[0.008, 0.016]``."""
    return f"[{number(interval.low)}, {number(interval.high)}]"


def two_decimals(interval: Interval) -> str:
    """Return an interval of shares or correlations as ``[0.08, 0.64]``."""
    return f"[{interval.low:.2f}, {interval.high:.2f}]"


def time_text(hours: float) -> str:
    """Return a time in seconds below two minutes, in minutes below two hours, and in hours above."""
    seconds = 3600 * hours
    if seconds < 2 * 60:
        return f"{number(seconds)} s"
    return f"{number(seconds / 60)} min" if hours < 2 else f"{number(hours)} h"


def p_number(p: float) -> str:
    """Return a p value as a table cell: ``.002`` or ``< .001``."""
    return "< .001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)


def p_words(p: float) -> str:
    """Return a p value as ``p = .002`` or ``p < .001``."""
    return f"p {'' if p < 0.001 else '= '}{p_number(p)}"


def or_dash(value: _T | None, text: Callable[[_T], str]) -> str:
    """Return the text of a value for a table cell, a dash for None."""
    return NONE if value is None else text(value)


def a_unit(spec: SpaceSpec) -> str:
    """Return the unit of progress with its article: ``an epoch``, ``a step``."""
    unit = spec.recipe.budget.unit
    return f"{'an' if unit == 'epoch' else 'a'} {unit}"


def part_of(count: int, whole: int, noun: str, singular: str, plural: str) -> str:
    """Return the start of a sentence about a part: ``1 of 3 runs is``, ``2 of 3 runs are``."""
    return f"{count} of {counted(whole, noun)} {singular if count == 1 or whole == 1 else plural}"


def change_caveats(provenance: Mapping[str, Any]) -> list[str]:
    """Return a caveat for each difference with which a sweep or ablation was continued."""
    return [
        f"Recorded as changed while it was trained: {change}. Runs from before and after that may not be comparable."
        for change in recorded_changes(provenance)
    ]


def shortened(text: str, most: int) -> str:
    """Return the text, cut to this number of characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def error_line(error: str | None, default: str) -> str:
    """Return the last line of a traceback, shortened, or the default without one."""
    lines = (error or "").strip().splitlines()
    return shortened(lines[-1] if lines else default, _ERROR)
