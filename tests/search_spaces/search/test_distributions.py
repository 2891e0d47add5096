from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search_spaces import (
    Choice,
    Constant,
    Distribution,
    FiniteDistribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    UsageError,
)
from search_spaces.search.distributions import DISTRIBUTION_NAMES, canonical, make_distribution

EXAMPLES: tuple[Distribution, ...] = (
    LogUniform(1e-5, 1e-1),
    Uniform(-1, 2),
    QUniform(0, 1, 0.1),
    RandInt(-2, 7),
    Choice([1, "a", None, True, (0.9, 0.99)]),
    Normal(1, 0.5),
    Constant(3),
)
UNITS = np.linspace(0, 1, 101)[:-1]


@pytest.mark.parametrize(
    ("distribution", "oracle"),
    [
        (Uniform(-1, 2), stats.uniform(-1, 3)),
        (LogUniform(1e-5, 1e-1), stats.loguniform(1e-5, 1e-1)),
        (Normal(1, 0.5), stats.truncnorm(-4, 4, loc=1, scale=0.5)),
    ],
)
def test_from_unit_is_the_quantile_function(distribution: Uniform | LogUniform | Normal, oracle: Any) -> None:
    values = [distribution.from_unit(u) for u in UNITS]
    np.testing.assert_allclose(values, oracle.ppf(UNITS), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("distribution", [d for d in EXAMPLES if isinstance(d, FiniteDistribution)], ids=str)
def test_finite_values_are_equally_likely_and_in_order(distribution: FiniteDistribution) -> None:
    grid = distribution.grid()
    assert len(grid) == distribution.size
    assert [distribution.at(index) for index in range(distribution.size)] == list(grid)
    middles = [(index + 0.5) / distribution.size for index in range(distribution.size)]
    assert [distribution.from_unit(u) for u in middles] == list(grid)


def test_quniform_has_the_decimals_that_were_written() -> None:
    assert QUniform(0, 1, 0.1).grid() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert QUniform(0.1, 0.3, 0.05).grid() == (0.1, 0.15, 0.2, 0.25, 0.3)


def test_randint_includes_both_ends() -> None:
    assert RandInt(1, 3).grid() == (1, 2, 3)
    assert RandInt(5, 5).from_unit(0.999) == 5


def test_a_wide_randint_stays_in_bounds() -> None:
    wide = RandInt(-(2**53), 2**53)
    assert wide.from_unit(0) == -(2**53)
    assert wide.from_unit(math.nextafter(1, 0)) <= 2**53


@pytest.mark.parametrize("distribution", EXAMPLES, ids=str)
@given(u=st.floats(0, 1, exclude_max=True))
def test_values_are_between_the_edges(distribution: Distribution, u: float) -> None:
    value = distribution.from_unit(u)
    if isinstance(distribution, Choice | Constant):
        assert value in distribution.edges()
    else:
        low, high = (float(str(edge)) for edge in distribution.edges())
        assert low <= float(str(value)) <= high


@pytest.mark.parametrize("distribution", EXAMPLES, ids=str)
@pytest.mark.parametrize("u", [-0.1, 1.0, 1.5, math.nan])
def test_a_unit_outside_the_interval_is_a_programming_error(distribution: Distribution, u: float) -> None:
    with pytest.raises(ValueError, match=r"u must be in \[0, 1\)"):
        distribution.from_unit(u)


@pytest.mark.parametrize("distribution", EXAMPLES, ids=str)
def test_canonical_form_and_pickle_round_trip(distribution: Distribution) -> None:
    [(name, arguments)] = canonical(distribution).items()
    assert make_distribution(name, arguments) == distribution
    assert pickle.loads(pickle.dumps(distribution)) == distribution
    assert hash(distribution) == hash(make_distribution(name, arguments))


def test_the_examples_cover_every_distribution() -> None:
    assert {example.name for example in EXAMPLES} == set(DISTRIBUTION_NAMES)


@pytest.mark.parametrize(
    ("name", "arguments", "rule"),
    [
        ("uniform", [1, 0], "low must be less than high, found [1.0, 0.0]"),
        ("uniform", [0, 0], "low must be less than high"),
        ("uniform", [0], "must be written uniform: [low, high], found 1 arguments"),
        ("uniform", 3, "must be written uniform: [low, high], found 3"),
        ("uniform", "ab", "must be written uniform"),
        ("uniform", ["0", 1], "low must be a number, found '0'"),
        ("uniform", [0, True], "high must be a number, found true"),
        ("uniform", [0, math.inf], "high must be finite"),
        ("uniform", [math.nan, 1], "low must be finite"),
        ("uniform", [0, 10**400], "high must be finite, found a number of over 60 digits"),
        ("uniform", [{}, 1], "low must be a number, found a section"),
        ("loguniform", [0, 1], "low must be greater than 0 on a log scale, found 0.0; or use uniform"),
        ("loguniform", [-1, 1], "low must be greater than 0"),
        ("quniform", [0, 1], "must be written quniform: [low, high, q], found 2 arguments"),
        ("quniform", [0, 1, 0], "q must be greater than 0, found 0.0"),
        ("quniform", [0, 1, 0.3], "the nearest valid high is 0.9"),
        ("quniform", [0, 1, 3], "the nearest valid high is 3.0"),
        ("quniform", [0, 1, 1e-9], "at most 1,000,000 steps"),
        ("randint", [0.0, 1], "low must be a whole number, found 0.0"),
        ("randint", [0, True], "high must be a whole number, found true"),
        ("randint", [3, 1], "low must not be greater than high, found [3, 1]"),
        ("randint", [0, 2**60], "high must be between -2**53 and 2**53"),
        ("normal", [0, 0], "sd must be greater than 0, found 0.0"),
        ("normal", [0, -1], "sd must be greater than 0"),
        ("choice", [], "must have 1 to 1000 options, found 0"),
        ("choice", 3, "options must be a list, found 3"),
        ("choice", "abc", "options must be a list, found 'abc'"),
        ("choice", [1, 2, 1.0], "options must be different, found 1.0 twice"),
        ("choice", [[1], [1]], "options must be different, found [1] twice"),
        ("choice", [[[1]]], "a value must be a number, a text, true, false, null or a list of these, found [1]"),
        ("choice", [{"a": 1}], "found a section"),
        ("choice", [math.inf], "a value must be finite, found inf"),
        ("constant", {"a": 1}, "found a section"),
    ],
)
def test_an_error_has_the_rule_and_the_value(name: str, arguments: object, rule: str) -> None:
    with pytest.raises(UsageError) as raised:
        make_distribution(name, arguments)
    assert rule in str(raised.value)


def test_true_and_one_are_different_options() -> None:
    assert Choice([True, 1]).size == 2
