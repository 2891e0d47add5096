"""Figures of ablations of several tasks have the numbers of their findings."""

from math import log

from numpy.testing import assert_allclose

from analysis.figures.task_effects import rank_diagram, task_forest
from tests.analysis.across_tasks.test_findings import THREE, group_of, shifted


def test_a_forest_has_every_task_and_both_populations() -> None:
    found = group_of(shifted(0.9, 1.0, 1), shifted(0.85, 0.2, 2), shifted(0.95, 2.0, 3))
    (claim,) = found.claims
    drawing = task_forest(claim, "log test NLL", "minimize")
    means = [trace for trace in drawing.figure.data if trace.error_x.array is not None]
    assert len(means) == 5
    assert claim.these is not None
    assert claim.these.interval is not None
    assert_allclose(means[3].x[0] + means[3].error_x.array[0], claim.these.interval.high, rtol=1e-4)
    assert_allclose(means[0].x[0], log(0.9), atol=0.02)
    assert list(drawing.figure.layout.yaxis.ticktext) == [
        "tasks like these",
        "these 3 tasks",
        "task2",
        "task1",
        "task0",
    ]
    assert "below 0 on 3 of 3 tasks" in drawing.reading


def test_ranks_are_drawn_with_half_of_the_critical_difference() -> None:
    found = group_of(*(shifted(0.9, 1.0, seed) for seed in range(5)), pairs=2, text=THREE)
    drawing = rank_diagram(found.rankings[0])
    (trace,) = drawing.figure.data
    assert trace.x[-1] == 1.0
    assert drawing.reading.startswith("treatment has the best mean rank, 1.00.")
    assert_allclose(trace.error_x.array[0], found.rankings[0].result.difference / 2, rtol=1e-4)
