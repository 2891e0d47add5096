"""Which runs are good, and when they support an edge."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from analysis.sweep.good_region import Edge, edges, good_region
from search_spaces import Asha
from tests.analysis.made_sweeps import LR, made_sweep, peak, spec_of

ASHA = Asha(grace_epochs=1, reduction_factor=3)


@pytest.mark.parametrize(
    ("near", "others", "chance", "backed"),
    [
        (3, 3, 0.03, True),
        (2, 2, 0.01, False),  # with the best run, three good runs
        (0, 0, 1.0, False),
        (4, 9, 0.01, False),  # most of them are elsewhere
        (6, 9, 0.06, False),
        (6, 9, 0.04, True),
    ],
)
def test_an_edge_needs_four_good_runs_and_more_than_chance(near: int, others: int, chance: float, backed: bool) -> None:
    assert Edge(LR, 0.1, 0.99, True, near, others, chance).backed is backed


def test_the_good_runs_under_asha_are_those_of_the_first_rung() -> None:
    evidence = made_sweep(peak(1.0), spec_of(early_stopping=ASHA, runs=64))
    region = good_region(evidence)
    assert region is not None
    assert region.compared == tuple(range(64))
    first = evidence.at(1)
    lowest = max(first.values()) - region.tolerance
    assert region.runs == tuple(number for number, score in first.items() if score >= lowest)
    [edge] = [one for one in edges(evidence, region) if one.field == LR]
    best = evidence.best
    assert best is not None
    there = {
        run.number
        for run in evidence.runs
        if run.number != best.number and run.recipe.optimizer.lr >= 1e-5 * 10 ** (8 / 3)
    }
    good = set(region.runs) - {best.number}
    assert (edge.near, edge.others) == (len(there & good), len(good))
    assert edge.chance == pytest.approx(stats.hypergeom(63, len(there), len(good)).sf(edge.near - 1))
    assert edge.backed


def test_a_good_region_holds_the_share_of_a_smooth_optimum() -> None:
    """Half of the distance to the median has 1 / 2^1.5 of the space where one field matters."""

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.9 - (places[LR] - 0.5) ** 2

    region = good_region(made_sweep(score, spec_of(runs=128)))
    assert region is not None
    assert len(region.runs) / 128 == pytest.approx(2**-1.5, abs=0.02)
