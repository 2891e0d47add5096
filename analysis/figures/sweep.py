"""Figures of a whole sweep: importance, expected best of n runs, cost, findings."""

from collections.abc import Sequence
from typing import Any

from analysis.diagnosis.findings import Code, Severity
from analysis.figures.drawing import (
    BAR_LEGEND,
    COLOURS,
    GREY,
    SYMBOLS,
    Drawing,
    across,
    axis,
    bars,
    drawn,
    error_bars,
    metric_axis,
    names_axis,
    rounded,
)
from analysis.figures.run_styles import STYLES, score_title
from analysis.sweep.findings import SweepFindings
from analysis.sweep.importance import Importances
from analysis.wording import number, part_of, two_decimals
from search_spaces.values import counted


def importance(evaluators: Sequence[Importances]) -> Drawing | None:
    """Draw the importance of each field by each evaluator, with its interval and its chance level."""
    known = [one for one in evaluators if one.fields]
    if not known:
        return None
    fields = [one.field for one in known[0].fields]
    traces = [trace for index, one in enumerate(known) for trace in _shares(index, one, fields, len(known))]
    layout = {
        "xaxis": axis("share of importance", range=[0, 1.03]),
        "yaxis": names_axis(fields, range=[len(fields) - 0.4, -0.6]),
        "showlegend": True,
    }
    at = known[0].fidelity
    title = f"Hyperparameter importance after {f'{at.unit} {at.epoch}' if at else 'no epoch'}"
    return drawn("importance", title, _importance_reading(known), traces, layout, 140 + 54 * len(fields))


def _shares(index: int, one: Importances, fields: Sequence[str], of: int) -> list[dict[str, Any]]:
    rows = [fields.index(each.field) + 0.32 * (index - (of - 1) / 2) for each in one.fields]
    colour = COLOURS[index]
    shares, intervals = [each.share for each in one.fields], [each.interval for each in one.fields]
    base = {"type": "scatter", "mode": "markers", "y": rounded(rows), "hoverinfo": "text"}
    return [
        {
            **base,
            "name": f"{one.evaluator}, 90 % interval",
            "x": rounded(shares),
            "marker": {"size": 10, "color": colour, "symbol": SYMBOLS[index]},
            "error_x": error_bars(shares, intervals, thickness=2, width=5, color=colour),
            "hovertext": [f"{one.evaluator}: {each.share:.2f}" for each in one.fields],
        },
        {
            **base,
            "name": "chance level",
            "showlegend": index == 0,
            "x": rounded([each.chance for each in one.fields]),
            "marker": {"size": 13, "symbol": "line-ns-open", "color": GREY, "line": {"width": 2.4, "color": GREY}},
            "hovertext": ["" if each.chance is None else f"chance level {each.chance:.2f}" for each in one.fields],
        },
    ]


def _importance_reading(known: Sequence[Importances]) -> str:
    words = []
    for one in known:
        first = one.fields[0]
        size = f" {two_decimals(first.interval)}" if first.interval else ""
        words.append(f"{one.evaluator} ranks {first.field} first with a share of {first.share:.2f}{size}")
    shares = [field for one in known for field in one.fields]
    above = sum(field.above_chance for field in shares)
    above_level = f"{part_of(above, len(shares), 'share', 'is', 'are')} above the chance level"
    return f"{', '.join(words)}. {above_level} (95 % quantile of the largest share with shuffled scores)."


def sweep_best_of_n(findings: SweepFindings) -> Drawing | None:
    """Draw the expected best score of 1, 2, ... runs; a curve that is not flat at its end calls for more runs."""
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
        "xaxis": axis("number of runs", rangemode="tozero"),
        "yaxis": axis(metric_axis(findings.spec.metric.name)),
        "shapes": [across("x", half)],
    }
    early, late = values[half - 1], values[-1]
    reading = (
        f"The expected best score is {number(early)} with {counted(half, 'run')} and {number(late)} with all"
        f" {len(values)}, a change of {number(abs(late - early))}."
    )
    title = f"Expected best {score_title(findings)} of n runs"
    return drawn("best-of-n", title, reading, [trace], layout, 340)


def ledger(findings: SweepFindings) -> Drawing | None:
    """Draw the epochs trained by the runs of each state, and the epochs saved by early stopping."""
    budget = findings.spec.recipe.budget
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
    names = [*(f"{name} runs" for name, _, _ in rows), "saved by early stopping"]
    layout = {
        "xaxis": axis(f"{budget.unit}s", rangemode="tozero"),
        "yaxis": names_axis(names, range=[len(names) - 0.4, -0.6]),
        "bargap": 0.45,
    }
    whole = findings.epochs_spent + findings.epochs_saved
    seconds = sum(one.seconds for one in findings.ledger)
    saved = f"{findings.epochs_saved} of {whole} ({findings.epochs_saved / whole if whole else 0.0:.0%})"
    reading = f"{budget.counted(findings.epochs_spent)} in {number(seconds)} s; early stopping saved {saved}."
    return drawn("ledger", f"{budget.unit.capitalize()}s by run state", reading, [trace], layout, 120 + 44 * len(names))


_SEVERE = {Severity.ERROR: (COLOURS[1], ""), Severity.WARNING: (COLOURS[4], "/"), Severity.INFO: (GREY, ".")}


def finding_shares(findings: SweepFindings) -> Drawing | None:
    """Draw the share of runs with each finding, errors and warnings first."""
    table = findings.diagnosis
    if not table.shares:
        return None
    traces = []
    for severity, (colour, pattern) in _SEVERE.items():
        rows = [(at, one) for at, one in enumerate(table.shares) if one.severity is severity]
        if rows:
            shares, texts = (
                rounded([100 * one.share for _, one in rows]),
                [f"{one.runs} of {one.of} runs" for _, one in rows],
            )
            at = {"y": [at for at, _ in rows], "hovertext": texts, "hoverinfo": "text"}
            traces.append(bars(severity.value, shares, colour, pattern, **at))
    names = [one.code.value for one in table.shares]
    layout = {
        "xaxis": axis("share of runs (%)", range=[0, 103]),
        "yaxis": names_axis(names, range=[len(names) - 0.4, -0.6]),
        "bargap": 0.4,
        **BAR_LEGEND,
    }
    first = table.shares[0]
    short = next((one.runs for one in table.shares if one.code is Code.TOO_SHORT), 0)
    alarms = part_of(table.runs - table.without_alarm, table.runs, "run", "has", "have")
    reading = f"{alarms} an error or a warning"
    reading += f", {short} {'is' if short == 1 else 'are'} too short to diagnose." if short else "."
    kind = "finding" if first.severity is Severity.INFO else "error or warning"
    reading += f" The most frequent {kind} is {first.code.value} ({counted(first.runs, 'run')})."
    return drawn("findings", "Share of runs with each finding", reading, traces, layout, 130 + 38 * len(names))
