"""Units of the metrics whose unit is known: nats and points."""

from analysis.wording import number, signed
from search_spaces import AblationSpec

NATS, POINTS = "nats", "points"
_UNITS = {"nll": NATS, "accuracy": POINTS}


def unit_of(spec: AblationSpec, metric: str) -> str:
    """Return the unit of a metric; empty if it is unknown, as for every metric of a command."""
    return "" if spec.space.command else _UNITS.get(metric.partition("/")[2], "")


def amount(spec: AblationSpec, metric: str, value: float, sign: bool = False) -> str:
    """Return a difference of a metric with its unit: ``0.012 nats``, ``0.0633 (6.33 points)``."""
    text, unit = signed if sign else number, unit_of(spec, metric)
    match unit:
        case "points":
            return f"{text(value)} ({text(100 * value)} points)"
        case "":
            return text(value)
        case _:
            return f"{text(value)} {unit}"


def unit_words(spec: AblationSpec, metric: str) -> str:
    """Return what a table says about the unit of its numbers; empty if it is unknown."""
    return {NATS: "nats per example", POINTS: "share of examples; 0.01 is one point"}.get(unit_of(spec, metric), "")
