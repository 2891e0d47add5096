"""Figures of a sweep as a whole: importances, what more runs would buy, costs, findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.diagnosis.findings import Code, Severity
from analysis.figures.drawing import (
    COLOURS,
    GREY,
    LEGEND,
    SYMBOLS,
    Drawing,
    axis,
    drawn,
    hatched,
    metric_axis,
    names_axis,
    rounded,
)
from analysis.figures.run_styles import STYLES, dotted_line, score_title
from analysis.sweep.findings import SweepFindings
from analysis.sweep.importance import Importances
from analysis.wording import number, two_decimals


def importance(evaluators: Sequence[Importances]) -> Drawing | None:
    """Share of each field by each evaluator, with its interval, and the share that shuffled scores give."""
    known = [one for one in evaluators if one.fields]
    if not known:
        return None
    fields = [one.field for one in known[0].fields]
    traces = [trace for index, one in enumerate(known) for trace in _shares(index, one, fields, len(known))]
    layout = {
        "xaxis": axis("share of the importance", range=[0, 1.03]),
        "yaxis": names_axis(fields, range=[len(fields) - 0.4, -0.6]),
        "showlegend": True,
    }
    epoch = known[0].fidelity.epoch if known[0].fidelity else None
    title = f"Which fields the score hangs on, after epoch {epoch}"
    return drawn("importance", title, _importance_reading(known), traces, layout, 140 + 54 * len(fields))


def _shares(index: int, one: Importances, fields: Sequence[str], of: int) -> list[dict[str, Any]]:
    rows = [fields.index(each.field) + 0.32 * (index - (of - 1) / 2) for each in one.fields]
    colour = COLOURS[index]
    far = {
        "array": rounded([each.interval.high - each.share if each.interval else 0.0 for each in one.fields]),
        "arrayminus": rounded([each.share - each.interval.low if each.interval else 0.0 for each in one.fields]),
    }
    base = {"type": "scatter", "mode": "markers", "y": rounded(rows), "hoverinfo": "text"}
    return [
        {
            **base,
            "name": f"{one.evaluator}, 90 % of resamples",
            "x": rounded([each.share for each in one.fields]),
            "marker": {"size": 10, "color": colour, "symbol": SYMBOLS[index]},
            "error_x": {"type": "data", "symmetric": False, "thickness": 2, "width": 5, "color": colour, **far},
            "hovertext": [f"{one.evaluator}: {each.share:.2f}" for each in one.fields],
        },
        {
            **base,
            "name": "95 % of shuffled scores give less",
            "showlegend": index == 0,
            "x": rounded([each.chance for each in one.fields]),
            "marker": {"size": 13, "symbol": "line-ns-open", "color": GREY, "line": {"width": 2.4, "color": GREY}},
            "hovertext": ["" if each.chance is None else f"by chance {each.chance:.2f}" for each in one.fields],
        },
    ]


def _importance_reading(known: Sequence[Importances]) -> str:
    words = []
    for one in known:
        first = one.fields[0]
        size = f" {two_decimals(first.interval)}" if first.interval else ""
        words.append(f"{one.evaluator} puts {first.field} first with {first.share:.2f}{size}")
    shares = [field for one in known for field in one.fields]
    above = sum(field.above_chance for field in shares)
    return f"{', '.join(words)}; {above} of {len(shares)} shares lie above what shuffled scores give."


def sweep_best_of_n(findings: SweepFindings) -> Drawing | None:
    """The expected best score of 1, 2, ... runs: a curve that still moves asks for more of them."""
    values = findings.best_of_n
    if len(values) < 2:
        return None
    half = len(values) // 2
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if len(values) <= 60 else "lines",
        "x": list(range(1, len(values) + 1)),
        "y": rounded(values),
        "line": {"color": COLOURS[0], "width": 2.2},
        "marker": {"size": 6, "symbol": "circle"},
        "hoverinfo": "x+y",
    }
    layout = {
        "xaxis": axis("runs", rangemode="tozero"),
        "yaxis": axis(metric_axis(findings.spec.metric.name)),
        "shapes": [dotted_line("x", half)],
    }
    reading = (
        f"{half} runs are expected to find {number(values[half - 1])}, all {len(values)} found {number(values[-1])}:"
        f" the second half moved it by {number(abs(values[-1] - values[half - 1]))}."
    )
    title = f"Expected best {score_title(findings)} of n runs"
    return drawn("best-of-n", title, reading, [trace], layout, 340)


def ledger(findings: SweepFindings) -> Drawing | None:
    """Epochs of the runs of each state, and those that stopping saved."""
    rows = [(one.state.value.lower(), one.epochs, STYLES[one.state][0]) for one in findings.ledger]
    if not rows:
        return None
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [*(epochs for _, epochs, _ in rows), findings.epochs_saved],
        "y": list(range(len(rows) + 1)),
        "marker": {
            "color": [*(colour for _, _, colour in rows), "rgba(127,127,127,0.18)"],
            "line": {"width": 1.2, "color": GREY},
            "pattern": {"shape": [*("" for _ in rows), "/"], "fgcolor": GREY, "solidity": 0.2},
        },
        "hoverinfo": "x",
    }
    names = [*(f"trained, {name}" for name, _, _ in rows), "saved by stopping"]
    layout = {
        "xaxis": axis("epochs", rangemode="tozero"),
        "yaxis": names_axis(names, range=[len(names) - 0.4, -0.6]),
        "bargap": 0.45,
    }
    whole = findings.epochs_spent + findings.epochs_saved
    seconds = sum(one.seconds for one in findings.ledger)
    reading = (
        f"{findings.epochs_spent} epochs in {number(seconds)} s; stopping saved {findings.epochs_saved} of {whole}"
        f" ({findings.epochs_saved / whole if whole else 0.0:.0%})."
    )
    return drawn("ledger", "Where the epochs went", reading, [trace], layout, 120 + 44 * len(names))


_SEVERE = {Severity.ERROR: (COLOURS[1], ""), Severity.WARNING: (COLOURS[4], "/"), Severity.INFO: (GREY, ".")}


def finding_shares(findings: SweepFindings) -> Drawing | None:
    """Share of the runs with each finding, alarms first."""
    table = findings.diagnosis
    if not table.shares:
        return None
    traces = []
    for severity, (colour, pattern) in _SEVERE.items():
        rows = [(at, one) for at, one in enumerate(table.shares) if one.severity is severity]
        if rows:
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": severity.value,
                    "x": rounded([100 * one.share for _, one in rows]),
                    "y": [at for at, _ in rows],
                    "marker": hatched(colour, pattern),
                    "hovertext": [f"{one.runs} of {one.of} runs" for _, one in rows],
                    "hoverinfo": "text",
                }
            )
    names = [one.code.value for one in table.shares]
    layout = {
        "xaxis": axis("share of the runs (%)", range=[0, 103]),
        "yaxis": names_axis(names, range=[len(names) - 0.4, -0.6]),
        "bargap": 0.4,
        "showlegend": True,
        "legend": {**LEGEND, "traceorder": "normal"},
    }
    first = table.shares[0]
    alarm = first.severity is not Severity.INFO
    most = f"{first.code.value} is the most frequent {'alarm' if alarm else 'remark'}, in {first.runs}"
    short = next((one.runs for one in table.shares if one.code is Code.TOO_SHORT), 0)
    reading = f"{table.runs - table.without_alarm} of {table.runs} runs have an error or a warning"
    reading += f", {short} are too short to tell; {most}." if short else f"; {most}."
    return drawn("findings", "Share of the runs with each finding", reading, traces, layout, 130 + 38 * len(names))
