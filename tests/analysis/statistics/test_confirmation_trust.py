"""Sweeps in which only the seed differs: how often their confirmation says BETTER, for six kinds of noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analysis.statistics.paired import Verdict, compare, holm, instability, judge

pytestmark = [pytest.mark.slow, pytest.mark.parallel]

SWEEPS = 1_000
TOP = 3
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def _outliers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal noise in which one run of twenty is far below, as after a spike of its loss."""
    return rng.normal(size=shape) - 20.0 * (rng.random(shape) < 0.05)


def _diverging(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return t noise in which one run of twenty diverges."""
    return np.where(rng.random(shape) < 0.05, np.nan, rng.standard_t(3, size=shape))


NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t3": lambda rng, shape: rng.standard_t(3, size=shape),
    "skewed": lambda rng, shape: -rng.exponential(size=shape),
    "accuracy counts": lambda rng, shape: rng.binomial(1_000, 0.95, size=shape) / 1_000,
    "outliers": _outliers,
    "diverging": _diverging,
}


def says_better(noise: Noise, rng: np.random.Generator, seeds: int) -> bool:
    """Select finalists from 32 runs by their own scores, and judge them on fresh seeds as a confirmation does."""
    finalists = np.argsort(np.nan_to_num(noise(rng, (32,)), nan=-np.inf))[-TOP:]
    fresh = noise(rng, (32, seeds))
    control, *treatments = fresh[0], *(noise(rng, (seeds,)) if one == 0 else fresh[one] for one in finalists)
    compared = []
    for treatment in treatments:
        both = np.isfinite(control) & np.isfinite(treatment)
        unstable = instability(int(np.isnan(control).sum()), int(np.isnan(treatment).sum()), seeds)
        one = compare(control[both], treatment[both], "maximize", rng, permutations=0) if both.any() else None
        compared.append((one, unstable))
    adjusted = holm([None if one is None else one.p for one, _ in compared])
    verdicts = [
        judge(one, p, unstable=unstable)
        for (one, unstable), p in zip(compared, adjusted, strict=True)
        if one is not None
    ]
    return Verdict.BETTER in verdicts


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("name", NOISES)
def test_a_confirmation_of_equal_recipes_says_better_in_at_most_one_sweep_of_twenty(name: str, seeds: int) -> None:
    rng = np.random.default_rng([seeds, *name.encode()])
    rate = np.mean([says_better(NOISES[name], rng, seeds) for _ in range(SWEEPS)])
    assert rate <= 0.05, f"{name}: {rate:.1%}"
