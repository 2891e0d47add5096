from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.intervals import Interval, t_interval
from analysis.statistics.paired import Verdict, compare_deltas, judge
from analysis.statistics.sequential import (
    E_STOP,
    LOOK_ALPHA,
    LOOKS,
    decide,
    e_interval,
    e_path,
    e_value,
    look_alpha,
    next_look,
    overall_p,
)

SEEDS = st.integers(0, 2**32 - 1)


def normal(seed: int, n: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


# --- planned looks


def test_the_next_look() -> None:
    assert [next_look(n) for n in (0, 4, 5, 9, 10, 19, 20, 25)] == [5, 5, 10, 10, 20, 20, None, None]
    assert next_look(3, (3, 6)) == 6


def found_at_some_look(looks: tuple[int, ...], level: float, seed: int, studies: int) -> int:
    """Return the number of studies without a difference in which the t-test of scipy finds one."""
    deltas = np.random.default_rng(seed).normal(size=(studies, looks[-1]))
    p = [stats.ttest_1samp(deltas[:, :n], 0.0, axis=1).pvalue for n in looks]
    return int((np.min(p, axis=0) <= level).sum())


@pytest.mark.parametrize("looks", [LOOKS, (5, 10), (3, 4, 5, 6, 30), (2, 12)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_look_alpha_spends_alpha(looks: tuple[int, ...], alpha: float) -> None:
    studies = 40_000
    found = found_at_some_look(looks, look_alpha(looks, alpha), 7, studies)
    assert stats.binomtest(found, studies, alpha).pvalue > 1e-3


def test_look_alpha_of_the_standard_plan() -> None:
    assert look_alpha() == look_alpha(list(LOOKS)) == LOOK_ALPHA == 0.0194
    # The constant is rounded; the computed level for the same plan agrees with it.
    assert look_alpha(LOOKS, np.nextafter(0.05, 1.0)) == pytest.approx(LOOK_ALPHA, rel=0.01)


def test_look_alpha_is_between_bonferroni_and_alpha() -> None:
    assert look_alpha((7,), 0.03) == 0.03
    for looks in ((5, 10), (5, 10, 20), (2, 3, 4, 5, 6)):
        assert 0.05 / len(looks) < look_alpha(looks) < 0.05
    assert look_alpha(LOOKS, 1e-7) == pytest.approx(1e-7 / 3)  # too small for the simulation: Bonferroni


def test_testing_after_every_pair_has_many_false_positives() -> None:
    assert overall_p(0.05, range(2, 21)) == pytest.approx(0.26, abs=0.005)


@pytest.mark.parametrize("looks", [LOOKS, (5, 10), (4, 8, 12, 16)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3, 0.01, 1e-7])
def test_overall_p_agrees_with_the_level_of_a_look(looks: tuple[int, ...], alpha: float) -> None:
    level = look_alpha(looks, alpha)
    assert overall_p(level, looks) <= alpha
    assert overall_p(1.02 * level, looks) > alpha


@settings(deadline=None)
@given(p=st.floats(0.0, 1.0))
def test_overall_p_is_no_smaller_and_at_most_bonferroni(p: float) -> None:
    assert p <= overall_p(p) <= min(1.0, 3 * p) + 1e-15
    assert overall_p(p, (9,)) == p


# --- the e-process


@pytest.mark.parametrize("n", [2, 3, 5, 12, 40])
@pytest.mark.parametrize("g", [0.5, 1.0, 2.0])
def test_e_value_is_a_likelihood_ratio_of_t(n: int, g: float) -> None:
    x = normal(n, n, 0.4)
    t, v = x.mean() / x.std(ddof=1) * sqrt(n), sqrt(n - 1)
    # Student's t given the effect is a normal over an independent scale s: its density, averaged over both.
    s, effect = np.linspace(0.0, 8.0, 2_001)[:, None], np.linspace(-6 * g, 6 * g, 601)
    density = s * stats.norm.pdf(t * s - effect * sqrt(n)) * stats.chi.pdf(s * v, n - 1) * v
    averaged = np.trapezoid(np.trapezoid(density, s, axis=0) * stats.norm.pdf(effect, scale=g), effect)
    assert e_value(x, g) == pytest.approx(averaged / stats.t.pdf(t, n - 1), rel=1e-4)


def test_e_value_by_its_formula() -> None:
    x = np.array([0.3, 0.8, 0.1, 0.6, 0.9, 0.4])
    n, t = 6, stats.ttest_1samp(x, 0.0).statistic
    expected = (1 + n) ** -0.5 * ((1 + t**2 / 5) / (1 + t**2 / (5 * (1 + n)))) ** 3
    assert e_value(x) == pytest.approx(expected)
    assert e_value(-x) == pytest.approx(expected)
    assert e_value(100.0 * x) == pytest.approx(expected)
    assert e_path(x)[-1] == e_value(x)
    assert e_path(x)[:-1] == e_path(x[:-1])


def test_e_value_at_the_ends() -> None:
    assert e_value(np.zeros(8)) == pytest.approx(1 / 3)
    assert e_value(np.ones(3)) == pytest.approx(4.0)
    assert e_value(np.ones(4)) < E_STOP < e_value(np.ones(5)) == pytest.approx(36.0)
    assert e_value([1.0, 1.0 + 1e-7]) == pytest.approx(sqrt(3.0))
    assert np.isfinite(e_value(np.ones(2_000)))


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(5, 60), g=st.sampled_from([0.5, 1.0]), threshold=st.sampled_from([20.0, 60.0]))
def test_the_confidence_sequence_inverts_the_e_process(seed: int, n: int, g: float, threshold: float) -> None:
    x = normal(seed, n)
    found = e_interval(x, g, threshold)
    assert found is not None
    if found.high == inf:
        assert e_value(x + 1e6, g) < threshold
        return
    for end in found:
        assert e_value(x - end, g) == pytest.approx(threshold, rel=1e-6)
    assert found.excludes(0.0) == (e_value(x, g) > threshold)


def test_the_confidence_sequence_at_the_ends() -> None:
    assert e_interval([0.1, 0.2, 0.3, 0.2]) == Interval(-inf, inf)
    assert e_interval(np.ones(9)) is None
    x = normal(0, 30)
    found = e_interval(x)
    assert found is not None
    assert found.low < t_interval(x).low < t_interval(x).high < found.high


# --- decisions


def test_no_look_is_reached() -> None:
    found = decide([0.1, 0.2, 0.3])
    assert (found.history, found.stopped_at, found.next_n, found.p) == ((), None, 5, 1.0)
    assert decide([], "e_process").next_n == 2
    assert decide([0.3], "e_process").next_n == 2


def test_a_clear_difference_stops_at_the_first_look() -> None:
    x = normal(0, 12, 5.0)
    found = decide(x)
    [look] = found.history
    assert (found.stopped_at, found.next_n, look.stop, found.alpha) == (5, None, "difference", LOOK_ALPHA)
    assert look.p == pytest.approx(stats.ttest_1samp(x[:5], 0.0).pvalue)
    assert look.interval == t_interval(x[:5], 1 - LOOK_ALPHA)
    assert found.p == overall_p(look.p)
    comparison = compare_deltas(x[:5], "minimize", np.random.default_rng(0), alpha=found.alpha)
    assert comparison.interval == look.interval
    assert judge(comparison, found.p, family_alpha=0.05) == Verdict.WORSE


def test_no_difference_continues_to_the_last_look() -> None:
    x = np.tile([1.0, -1.1], 15)
    assert decide(x[:12]).next_n == 20
    found = decide(x)
    assert [look.n for look in found.history] == [5, 10, 20]
    assert [look.stop for look in found.history] == [None, None, "last look"]
    assert (found.stopped_at, found.next_n) == (20, None)


def test_a_small_delta_stops_as_equivalent_when_a_margin_was_declared() -> None:
    x = np.tile([0.1, -0.11], 10)
    assert decide(x, margin=1.0).history[-1].stop == "equivalence"
    assert decide(x, margin=1.0).stopped_at == 5
    assert decide(x, "e_process", margin=1.0).history[-1].stop == "equivalence"
    assert decide(x, "e_process").stopped_at is None


def test_the_e_process_looks_after_every_pair() -> None:
    x = normal(2, 40, 1.5)
    found = decide(x, "e_process")
    path = e_path(x)
    first = next(n for n, e in enumerate(path, start=2) if e >= E_STOP)
    assert (found.stopped_at, found.next_n, found.alpha) == (first, None, 0.05)
    assert [look.e for look in found.history] == list(path[: first - 1])
    assert found.history[-1].interval == e_interval(x[:first])
    assert found.p == pytest.approx(1 / path[first - 2])
    assert decide(x[: first - 1], "e_process").next_n == first


@pytest.mark.parametrize("rule", [LOOKS, "e_process"])
def test_more_arms_stop_later(rule: str | tuple[int, ...]) -> None:
    x = normal(5, 20, 0.9)
    one, six = decide(x, rule), decide(x, rule, arms=6)  # type: ignore[arg-type]
    assert one.stopped_at is not None
    assert six.stopped_at is None or six.stopped_at > one.stopped_at
    assert one.history[-1].interval == six.history[len(one.history) - 1].interval


def test_equal_deltas_stop_by_the_sign_flip_test() -> None:
    found = decide(np.full(9, 0.1))
    assert (found.stopped_at, found.next_n, found.p) == (None, 10, 1.0)
    assert (found.history[0].interval, found.history[0].p) == (None, None)
    later = decide(np.full(12, 0.1))
    assert (later.stopped_at, later.history[-1].stop, later.history[-1].p) == (10, "difference", 2 / 2**10)
    comparison = compare_deltas(np.full(10, 0.1), "minimize", np.random.default_rng(0), alpha=later.alpha)
    assert judge(comparison, later.p, family_alpha=0.05) == Verdict.WORSE
    assert decide(np.zeros(20)).history[-1].stop == "last look"
    process = decide(np.full(9, 0.1), "e_process")  # equal deltas are not evidence for the e-process
    assert (process.stopped_at, process.p) == (None, 1.0)


def test_nothing_is_found_between_looks() -> None:
    x = normal(0, 4, 5.0)
    comparison = compare_deltas(x, "minimize", np.random.default_rng(0), alpha=decide(x).alpha)
    assert judge(comparison) == Verdict.WORSE
    assert judge(comparison, decide(x).p, family_alpha=0.05) == Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: look_alpha(()), "looks must increase from at least 2 pairs"),
        (lambda: look_alpha((1, 5)), "looks must increase"),
        (lambda: look_alpha((5, 5)), r"found \(5, 5\)"),
        (lambda: look_alpha(LOOKS, 0.0), "0 < alpha < 1 is required"),
        (lambda: overall_p(1.5), "found 1.5"),
        (lambda: e_value([1.0]), "at least 2 deltas"),
        (lambda: e_value([1.0, nan]), "must be finite"),
        (lambda: e_value([1.0, 2.0], 0.0), "g must be > 0"),
        (lambda: e_interval([1.0, 2.0], threshold=1.0), "threshold must be > 1"),
        (lambda: decide([1.0], "daily"), "found 'daily'"),
        (lambda: decide([1.0], arms=0), "arms must be >= 1"),
    ],
)
def test_invalid_arguments(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
