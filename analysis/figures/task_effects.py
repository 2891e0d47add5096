"""Figures of an ablation of several tasks: effects by task, and ranks of the arms over tasks."""

from collections.abc import Sequence
from typing import Any

from analysis.across_tasks.findings import AcrossClaim, Ranking
from analysis.figures.drawing import (
    COLOURS,
    GREY,
    SYMBOLS,
    Drawing,
    across,
    axis,
    drawn,
    error_bars,
    escaped,
    names_axis,
    rounded,
    slug,
)
from analysis.statistics.intervals import Interval
from analysis.wording import between, number, signed
from search_spaces.values import counted

Row = tuple[str, float | None, Interval | None, Sequence[float]]
"""Label, mean, interval and single pairs of a row."""


def task_forest(claim: AcrossClaim, scale: str, goal: str) -> Drawing:
    """Draw the effect on each task with its interval and pairs, then both populations.

    Args:
        claim: The contrast over all tasks.
        scale: Name of the metric on the common scale.
        goal: Whether a smaller or a larger value is better.
    """
    rows: list[Row] = [(one.task, one.mean, one.interval, one.effects) for one in claim.tasks]
    these, like = claim.these, claim.like_these
    if these is not None:
        rows.append((f"these {counted(len(claim.tasks), 'task')}", these.value, these.interval, ()))
    if like is not None:
        rows.append(("tasks like these", like.value, like.interval, ()))
    last = len(rows) - 1
    traces = [
        trace
        for index, row in enumerate(rows)
        for trace in _row(last - index, row, max(0, index - len(claim.tasks) + 1))
    ]
    shapes = [across("x", 0.0, width=1.4, dash="solid")]
    if these is not None:
        shapes.append(across("y", last - len(claim.tasks) + 0.5))
    side = "left" if goal == "minimize" else "right"
    layout = {
        "xaxis": axis(f"difference in {escaped(scale)}<br>{side} of 0 is better"),
        "yaxis": names_axis([row[0] for row in reversed(rows)], range=[-0.7, last + 0.6]),
        "shapes": shapes,
    }
    name, title = slug("tasks", claim.design, claim.contrast.name), f"{claim.contrast.name} ({claim.design}) by task"
    return drawn(name, title, _reading(claim, scale), traces, layout, 120 + 54 * len(rows))


def _row(place: int, row: Row, kind: int) -> list[dict[str, Any]]:
    label, mean, interval, pairs = row
    if mean is None:
        return []
    marker = {"size": 13 if kind else 10, "color": COLOURS[kind], "symbol": SYMBOLS[kind]}
    size = "" if interval is None else f" {between(interval)}"
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(pairs),
        "y": [place - 0.25 - 0.05 * (index % 3) for index in range(len(pairs))],  # equal heights would overlap
        "marker": {"size": 6, "color": "rgba(0,0,0,0)", "line": {"width": 1.2, "color": GREY}, "symbol": "circle"},
        "hovertext": [f"pair {index}: {signed(effect)}" for index, effect in enumerate(pairs)],
        "hoverinfo": "text",
    }
    centre: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded([mean]),
        "y": [place],
        "marker": marker,
        "error_x": error_bars([mean], [interval], thickness=2.4, width=7, color=COLOURS[kind]),
        "hovertext": [f"{escaped(label)}: {signed(mean)}{size}"],
        "hoverinfo": "text",
    }
    return [dots, centre] if pairs else [centre]


def _reading(claim: AcrossClaim, scale: str) -> str:
    known = [one.mean for one in claim.tasks if one.mean is not None]
    below = sum(mean < 0 for mean in known)
    text = f"The difference in {scale} is below 0 on {below} of {counted(len(known), 'task')}"
    if claim.these is None:
        return f"{text}; there is no mean, since a task has fewer than 2 complete pairs."
    text += f"; its mean over these tasks is {signed(claim.these.value)}"
    if claim.like_these is None:
        return f"{text}. Small dots are pairs."
    return f"{text}, and effects vary by {number(claim.like_these.tau)} (sd) between tasks. Small dots are pairs."


def rank_diagram(ranking: Ranking) -> Drawing:
    """Draw the mean rank of each arm; bars of half the critical difference overlap where no difference is shown."""
    order = sorted(range(len(ranking.arms)), key=lambda index: -ranking.result.ranks[index])
    ranks, half = [ranking.result.ranks[index] for index in order], ranking.result.difference / 2
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(ranks),
        "y": list(range(len(order))),
        "marker": {"size": 11, "color": COLOURS[0], "symbol": SYMBOLS[0]},
        "error_x": error_bars(ranks, [Interval(rank - half, rank + half) for rank in ranks], thickness=2.4, width=7),
        "hovertext": [f"{escaped(ranking.arms[index])}: {ranking.result.ranks[index]:.2f}" for index in order],
        "hoverinfo": "text",
    }
    layout = {
        "xaxis": axis("mean rank over tasks<br>1 is best"),
        "yaxis": names_axis([ranking.arms[index] for index in order], range=[-0.6, len(order) - 0.4]),
    }
    reading = (
        f"{ranking.arms[order[-1]]} has the best mean rank, {ranks[-1]:.2f}. Arms whose bars overlap differ by "
        f"less than the critical difference {2 * half:.2f} of Nemenyi's test at .05."
    )
    title = f"Ranks of the arms over tasks ({ranking.design})"
    return drawn(slug("ranks", ranking.design), title, reading, [trace], layout, 110 + 44 * len(order))
