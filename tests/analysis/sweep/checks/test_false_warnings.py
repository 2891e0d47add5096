"""How often the checks warn about sweeps without a problem, and how often they find a problem that is there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from analysis.sweep.checks.search_checks import check_sweep
from analysis.sweep.evidence import SweepEvidence
from search_spaces import AdamW, Asha, Budget, Recipe, random_point
from tests.analysis.made_sweeps import EPOCHS, LR, WARMUP, WD, Score, made_sweep, saturating, spec_of
from trainers.check import Outcome

TRUE_OF_NOISE = {"better than the baseline", "selection optimism", "rank correlation of the rungs"}
"""What is true where no field has an effect: the lead may be chance, and the rungs do not rank the runs."""


def bowl(weights: Mapping[str, float], at: float = 0.6, noise: float = 0.01) -> Score:
    """Return an accuracy that falls with the squared distance of some fields from this position of their ranges."""

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        distance = sum(weight * (places[field] - at) ** 2 for field, weight in weights.items())
        return (0.9 - 1.2 * distance) * saturating(share) + noise * rng.normal()

    return score


def pure_noise(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
    return 0.8 + 0.01 * rng.normal()


def asha_sweep(score: Score, seed: int, runs: int = 64) -> SweepEvidence:
    """Return a sweep of random points with ASHA, whose baseline is not at the optimum."""
    recipe = Recipe(optimizer=AdamW(lr=1e-4, weight_decay=0.01), budget=Budget(epochs=EPOCHS))
    spec = spec_of(recipe=recipe, early_stopping=Asha(grace_epochs=1, reduction_factor=3), runs=runs)
    points = {number: random_point(spec.search, seed, number) for number in range(1, runs)}
    return made_sweep(score, spec, points=points, seed=seed)


def warnings_of(evidence: SweepEvidence) -> set[str]:
    """Return the names of the checks that do not pass; those of all edges count as one check."""
    found = {check.name for check in check_sweep(evidence) if check.outcome is not Outcome.PASS}
    return {"edge" if name.startswith("edge of") else name for name in found}


def found_in(score: Score, name: str, sweeps: int, runs: int = 64) -> float:
    """Return the share of the sweeps in which a check does not pass."""
    return float(np.mean([name in warnings_of(asha_sweep(score, seed, runs)) for seed in range(sweeps)]))


@pytest.mark.slow
@pytest.mark.parallel
def test_sweeps_without_a_problem_have_few_warnings() -> None:
    clean: list[tuple[Score, set[str]]] = [
        (bowl({LR: 1.0}, noise=0.0), set()),
        (bowl({LR: 1.0}), set()),
        (bowl({LR: 1.0, WD: 0.5}), set()),
        (pure_noise, TRUE_OF_NOISE),
    ]
    sweeps = 10
    found = [warnings_of(asha_sweep(score, seed)) - true for score, true in clean for seed in range(sweeps)]
    most = {rate: stats.binom.ppf(0.99, len(found), rate) for rate in (0.05, 0.1)}  # counts that these rates allow
    assert sum(map(bool, found)) <= most[0.1]
    each = Counter(name for names in found for name in names)
    assert {name: count for name, count in each.items() if count > most[0.05]} == {}


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.parametrize("at", [1.0, 1.2])
def test_an_optimum_at_an_end_or_beyond_it_is_found(at: float) -> None:
    assert found_in(bowl({LR: 1.0}, at), "edge", 10) >= 0.8


@pytest.mark.slow
@pytest.mark.parallel
def test_too_few_runs_are_found() -> None:
    score = bowl({LR: 1.0, WD: 1.0, WARMUP: 1.0})
    assert found_in(score, "runs in the good region", 10, runs=12) >= 0.8


@pytest.mark.slow
@pytest.mark.parallel
def test_a_space_that_diverges_in_half_of_its_volume_is_found() -> None:
    def unstable(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return math.nan if places[WD] > 0.5 else bowl({LR: 1.0})(places, share, rng)

    assert found_in(unstable, "infeasible runs", 5) == 1.0
