"""Factors become arms; contrasts are checked against what a linear model with known effects gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search_spaces.specs.factorial import FACTOR_LIMITS, FactorialDesign, factorial_arms


def effects(arms, contrasts, main, crossed):
    """What each contrast gives for a noiseless response with these main effects and two-factor interactions."""
    response = {
        arm: 7.0
        + sum(main[name] for name in on)
        + sum(crossed.get(frozenset(two), 0.0) for two in itertools.combinations(sorted(on), 2))
        for arm, on in arms.items()
    }
    return {one.name: sum(weight * response[arm] for arm, weight in one.coefficients.items()) for one in contrasts}


@pytest.mark.parametrize("design", FACTOR_LIMITS)
def test_every_contrast_sums_to_zero_over_existing_arms(design: FactorialDesign) -> None:
    low, high = FACTOR_LIMITS[design]
    for count in (low, min(high, 8)):
        found = factorial_arms([f"f{i}" for i in range(count)], design)
        assert len(found.arms) == len(set(found.arms.values())) or design == "both_ends"
        for one in found.contrasts:
            assert set(one.coefficients) <= set(found.arms)
            assert sum(one.coefficients.values()) == pytest.approx(0.0, abs=1e-12)


def test_one_at_a_time_takes_from_the_full_recipe() -> None:
    found = factorial_arms(("a", "b"), "one_at_a_time")
    assert dict(found.arms) == {"full": {"a", "b"}, "without a": {"b"}, "without b": {"a"}}
    assert [one.simple for one in found.contrasts] == [("full", "without a"), ("full", "without b")]


def test_add_one_adds_to_the_bare_recipe() -> None:
    found = factorial_arms(("a", "b"), "add_one")
    assert dict(found.arms) == {"bare": set(), "with a": {"a"}, "with b": {"b"}}
    assert [one.simple for one in found.contrasts] == [("bare", "with a"), ("bare", "with b")]


def test_both_ends_has_two_controls() -> None:
    found = factorial_arms(("a", "b"), "both_ends")
    assert next(iter(found.arms)) == "bare"
    assert {one.simple[0] for one in found.contrasts} == {"bare", "full"}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_factorial_recovers_every_effect(count: int) -> None:
    rng = np.random.default_rng(count)
    names = [f"f{i}" for i in range(count)]
    main = dict(zip(names, rng.normal(size=count), strict=True))
    crossed = {frozenset(two): float(rng.normal()) for two in itertools.combinations(names, 2)}
    found = factorial_arms(names, "factorial")
    assert len(found.arms) == 2**count
    assert next(iter(found.arms)) == "none"
    seen = effects(found.arms, found.contrasts, main, crossed)
    for name in names:  # the mean effect over the other factors' levels
        others = sum(value for two, value in crossed.items() if name in two) / 2
        assert seen[name] == pytest.approx(main[name] + others)
    for two, value in crossed.items():
        assert seen[" x ".join(sorted(two))] == pytest.approx(value / 2)


@pytest.mark.parametrize(("count", "arms"), [(5, 16), (6, 32), (7, 64), (8, 64)])
def test_a_fraction_confuses_no_effect_with_another(count: int, arms: int) -> None:
    """Resolution V: main effects and two-factor interactions are all orthogonal to each other."""
    found = factorial_arms([f"f{i}" for i in range(count)], "fractional")
    assert len(found.arms) == arms
    columns = np.array([[one.coefficients[arm] for arm in found.arms] for one in found.contrasts])
    gram = columns @ columns.T
    assert np.allclose(gram, np.diag(np.diag(gram)))
    assert len(found.contrasts) == count + count * (count - 1) // 2


def test_three_arms_are_no_simple_comparison() -> None:
    assert factorial_arms(("a", "b"), "factorial").contrasts[0].simple is None
