"""Tables and CSV files of the report of an ablation of several tasks."""

from io import StringIO
from typing import Any

import pandas as pd

from analysis.across_tasks.findings import AcrossClaim, AcrossFindings
from analysis.export import csv
from analysis.report.ablation.overview import SYMBOLS
from analysis.report.ablation.tables import pairs_csv
from analysis.wording import NONE, between, or_dash, p_number, signed

TASK_HEAD = (
    "contrast",
    "design",
    "task",
    "pairs",
    "change",
    "interval",
    "scaled",
    "scaled interval",
    "verdict",
)
ACROSS_HEAD = ("contrast", "design", "tasks", "mean", "interval", "df", "p", "p (Holm)", "mean change", "verdict")


def task_rows(claim: AcrossClaim) -> list[tuple[str, ...]]:
    """Return the row of each task: its effect in units of the metric and on the common scale."""
    rows: list[tuple[str, ...]] = []
    for one in claim.tasks:
        single = one.claim
        comparison = None if single is None else single.comparison
        rows.append(
            (
                claim.contrast.name,
                claim.design,
                one.task,
                str(len(one.effects)),
                or_dash(None if comparison is None else comparison.delta, signed),
                or_dash(None if single is None else single.interval, between),
                or_dash(one.mean, signed),
                or_dash(one.interval, between),
                NONE if single is None else f"{SYMBOLS[single.verdict]} {single.verdict.value}",
            )
        )
    return rows


def across_rows(claim: AcrossClaim) -> list[tuple[str, ...]]:
    """Return a row for these tasks and a row for tasks like these."""
    verdict, place = f"{SYMBOLS[claim.verdict]} {claim.verdict.value}", (claim.contrast.name, claim.design)
    these, like, change = claim.these, claim.like_these, claim.change
    rows: list[tuple[str, ...]] = [(*place, "these tasks", *[NONE] * 6, verdict)]
    if these is not None and change is not None:
        numbers = (signed(these.value), or_dash(these.interval, between), f"{these.df:.1f}")
        tests = (or_dash(these.p, p_number), or_dash(claim.p, p_number))
        in_units = f"{signed(change.value)} {'' if change.interval is None else between(change.interval)}".strip()
        rows = [(*place, "these tasks", *numbers, *tests, in_units, verdict)]
    if like is not None:
        numbers = (signed(like.value), or_dash(like.interval, between), str(like.df))
        rows.append((*place, "tasks like these", *numbers, NONE, NONE, NONE, ""))
    return rows


def across_pairs_csv(found: AcrossFindings) -> str:
    """Return the rows of `pairs.csv` of every task, with the task in the first column."""
    frames = []
    for task, one in found.tasks.items():
        frame = pd.read_csv(StringIO(pairs_csv(one)))
        frame.insert(0, "task", task)
        frames.append(frame)
    return csv(pd.concat(frames))


def tasks_csv(found: AcrossFindings) -> str:
    """Return one row for each design, contrast, task and complete pair with its effect on the common scale."""
    rows: list[dict[str, Any]] = [
        {
            "design": claim.design,
            "contrast": claim.contrast.name,
            "task": one.task,
            "scale": str(found.scale),
            "effect": effect,
        }
        for claim in found.claims
        for one in claim.tasks
        for effect in one.effects
    ]
    return csv(pd.DataFrame(rows, columns=["design", "contrast", "task", "scale", "effect"]))
