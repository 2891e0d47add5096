from __future__ import annotations

import math
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from analysis.statistics.intervals import (
    Interval,
    detectable,
    normal_quantile,
    pairs_needed,
    power,
    sd_upper,
    skewness,
    t_interval,
    t_p_value,
    t_quantile,
    wilson,
)

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def test_excludes_and_inside() -> None:
    assert Interval(0.1, 0.2).excludes(0.0)
    assert Interval(-0.2, -0.1).excludes()
    assert not Interval(0.0, 0.2).excludes(0.0)  # the ends belong to the interval
    assert Interval(-0.1, 0.2).inside(0.3)
    assert not Interval(-0.1, 0.3).inside(0.3)
    assert not Interval(-inf, inf).inside(1e300)


@settings(deadline=None)
@given(x=VALUES, level=st.floats(0.5, 0.999))
def test_t_interval_equals_scipy(x: list[float], level: float) -> None:
    values = np.asarray(x)
    expected = stats.t.interval(level, len(x) - 1, values.mean(), values.std(ddof=1) / sqrt(len(x)) or 1e-300)
    assert t_interval(x, level) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(level=st.floats(0.01, 0.999), df=st.floats(1.0, 500.0))
def test_quantiles_and_p_values_are_inverse(level: float, df: float) -> None:
    assert t_quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-8)
    assert t_p_value(-t_quantile(level, df), df) == pytest.approx(1 - level, rel=1e-8)
    assert normal_quantile(level) == pytest.approx(stats.norm.ppf((1 + level) / 2), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_equals_statsmodels(n: int, level: float) -> None:
    for successes in {0, 1, n // 2, n}:
        expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert wilson(successes, n, level) == pytest.approx(expected, abs=1e-12)


def test_wilson_with_half_successes_is_within_0_and_1() -> None:
    assert wilson(5, 10).low < wilson(5.5, 10).low < wilson(6, 10).low
    assert wilson(0, 3).low == 0.0
    assert wilson(3, 3).high == 1.0


def test_sd_upper_by_definition() -> None:
    x = np.random.default_rng(0).normal(0, 2.0, 8)
    # At the limit, a sample variance this small or smaller has probability 1 - level.
    limit = sd_upper(x, 0.8)
    assert stats.chi2.cdf(7 * x.var(ddof=1) / limit**2, 7) == pytest.approx(0.2)
    assert sd_upper(x, 0.5) < limit < sd_upper(x, 0.99)
    assert sd_upper([1.0, 1.0]) == 0.0


def power_by_integration(sd: float, effect: float, n: int, alpha: float) -> float:
    """Return P(|T| > t) as an expectation over the sample sd, by adaptive quadrature."""
    noncentrality, t = effect / sd * sqrt(n), stats.t.ppf(1 - alpha / 2, n - 1)

    def integrand(s: float) -> float:
        found = stats.norm.cdf(noncentrality - t * s) + stats.norm.cdf(-noncentrality - t * s)
        return float(found * stats.chi.pdf(s * sqrt(n - 1), n - 1) * sqrt(n - 1))

    middle = noncentrality / t
    return float(integrate.quad(integrand, 0, 1, limit=200)[0] + integrate.quad(integrand, 1, 9 + middle, limit=200)[0])


@pytest.mark.parametrize("alpha", [0.05, 0.0194])
@pytest.mark.parametrize("n", [2, 3, 4, 6, 10, 20, 60])
def test_power_equals_numerical_integration(n: int, alpha: float) -> None:
    for effect in (0.0, 0.3, 0.9, 2.7, 8.1):
        assert power(1.0, effect, n, alpha) == pytest.approx(power_by_integration(1.0, effect, n, alpha), abs=2e-6)


@pytest.mark.parametrize("n", [4, 8, 16, 64])
def test_power_equals_statsmodels(n: int) -> None:
    for effect in (0.1, 0.5, 1.0):
        assert power(2.0, 2.0 * effect, n) == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-7)


@pytest.mark.parametrize(("n", "effect"), [(3, 8.605305459498924 / sqrt(3)), (10, 23.904562929656088 / sqrt(10))])
def test_power_where_the_noncentral_t_of_scipy_is_nan(n: int, effect: float) -> None:
    assert power(1.0, effect, n) == pytest.approx(power_by_integration(1.0, effect, n, 0.05), abs=2e-6)


def test_power_at_the_ends() -> None:
    assert power(1.0, 0.0, 5, 0.03) == pytest.approx(0.03, abs=1e-7)
    assert power(1.0, -0.7, 9) == power(1.0, 0.7, 9)
    assert power(0.0, 0.1, 3) == 1.0
    assert power(0.0, 0.0, 3) == 0.05


@pytest.mark.parametrize("effect", [0.2, 0.35, 0.5, 0.8, 1.5])
def test_pairs_needed_equals_statsmodels(effect: float) -> None:
    expected = math.ceil(TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8))
    assert pairs_needed(1.0, effect) == expected


@settings(deadline=None)
@given(sd=st.floats(0.01, 20.0), effect=st.floats(0.1, 10.0), alpha=st.sampled_from([0.05, 0.0194]))
def test_pairs_needed_is_the_smallest(sd: float, effect: float, alpha: float) -> None:
    n = pairs_needed(sd, effect, alpha, most=2_000)
    if n is None:
        assert power(sd, effect, 2_000, alpha) < 0.8 + 1e-9
    else:
        assert power(sd, effect, n, alpha) >= 0.8 - 1e-9
        assert n == 2 or power(sd, effect, n - 1, alpha) < 0.8 + 1e-9


def test_pairs_needed_at_the_ends() -> None:
    assert pairs_needed(0.0, 0.1) == 2
    assert pairs_needed(1.0, 1e-6) is None
    assert pairs_needed(1.0, 0.5, most=20) is None
    assert pairs_needed(1.0, 0.5, most=34) == 34  # the textbook value for half a standard deviation
    assert pairs_needed(1.0, 0.5, power=0.04) == 2


@settings(deadline=None)
@given(sd=st.floats(0.01, 20.0), n=st.integers(2, 200), alpha=st.sampled_from([0.05, 0.0194]))
def test_detectable_is_detected(sd: float, n: int, alpha: float) -> None:
    assert power(sd, detectable(sd, n, alpha), n, alpha) == pytest.approx(0.8, abs=1e-6)


def test_detectable_at_the_ends() -> None:
    assert detectable(0.0, 5) == 0.0
    assert detectable(1.0, 5, alpha=0.05, power=0.05) == 0.0
    assert detectable(1.0, 5) > detectable(1.0, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([1.0]), "at least 2 values are required, found 1"),
        (lambda: t_interval([1.0, nan]), "must be finite, found nan"),
        (lambda: t_interval([[1.0, 2.0]]), r"shape \(n,\)"),
        (lambda: t_interval([1.0, 2.0], 1.0), "0 < level < 1 is required, found 1.0"),
        (lambda: wilson(0, 0), "n must be >= 1"),
        (lambda: wilson(3, 2), "successes <= n = 2 is required, found 3"),
        (lambda: sd_upper([1.0]), "at least 2"),
        (lambda: sd_upper([1.0, 2.0], 0.0), "0 < level < 1"),
        (lambda: power(-1.0, 1.0, 5), "sd must be finite and >= 0"),
        (lambda: power(1.0, 1.0, 1), "at least 2 pairs are required"),
        (lambda: power(1.0, 1.0, 5, 0.0), "0 < alpha < 1"),
        (lambda: pairs_needed(1.0, 0.0), "effect must be > 0"),
        (lambda: pairs_needed(1.0, 1.0, power=1.0), "0 < power < 1"),
        (lambda: detectable(nan, 5), "sd must be finite"),
    ],
)
def test_invalid_arguments(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_the_skewness_is_that_of_scipy() -> None:
    for n in (3, 8, 30):
        x = np.random.default_rng(n).exponential(1.0, n)
        assert skewness(x) == pytest.approx(stats.skew(x))
        assert skewness(-x) == pytest.approx(-stats.skew(x))
