from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterator
from itertools import product
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics.intervals import Interval, pairs_needed, sd_upper, wilson
from analysis.statistics.paired import (
    Comparison,
    Verdict,
    compare,
    compare_deltas,
    contrast,
    holm,
    improvement,
    instability,
    judge,
    mcnemar,
    sign_flip_p,
    tuning_dependent,
    two_level,
    worst_rank,
)
from analysis.statistics.sequential import e_interval

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arms(seed: int, n: int, effect: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    draws = rng(seed)
    control = draws.normal(1.0, 1.0, n)
    return control, control + effect + draws.normal(0.0, 0.5, n)


def of(*deltas: float, margin: float | None = None, alpha: float = 0.05, goal: str = "minimize") -> Comparison:
    return compare_deltas(deltas, goal, rng(), margin, alpha)  # type: ignore[arg-type]


# --- the comparison, against other implementations


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(2, 30), alpha=st.sampled_from([0.05, 0.0194]))
def test_t_equals_scipy(seed: int, n: int, alpha: float) -> None:
    control, treatment = arms(seed, n)
    found = compare(control, treatment, "minimize", rng(), alpha=alpha, permutations=0)
    expected = stats.ttest_rel(treatment, control)
    assert found.p_t == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(1 - alpha)), rel=1e-8)
    assert found.interval90 == pytest.approx(tuple(expected.confidence_interval(1 - 2 * alpha)), rel=1e-8)
    assert found.delta == pytest.approx(treatment.mean() - control.mean())
    assert found.sd == pytest.approx(np.std(treatment - control, ddof=1))
    assert found.interval is not None
    assert found.interval.excludes(0.0) == (expected.pvalue < alpha)


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(3, 30))
def test_rho_and_efficiency(seed: int, n: int) -> None:
    control, treatment = arms(seed, n)
    found = compare(control, treatment, "maximize", rng(), permutations=0)
    assert found.rho == pytest.approx(stats.pearsonr(control, treatment).statistic)
    total = control.var(ddof=1) + treatment.var(ddof=1)
    covariance = np.cov(control, treatment)[0, 1]
    assert found.efficiency == pytest.approx(1 - 2 * covariance / total)


@pytest.mark.parametrize("n", [6, 7, 9, 12])
@pytest.mark.parametrize("seed", range(3))
def test_exact_permutation_equals_scipy(n: int, seed: int) -> None:
    control, treatment = arms(seed, n)
    expected = stats.permutation_test(
        (treatment, control),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert compare(control, treatment, "minimize", rng()).p_permutation == pytest.approx(expected.pvalue)


def test_monte_carlo_permutation_is_close_to_exact_and_seeded() -> None:
    deltas = np.round(rng(4).normal(0.2, 0.5, 17), 3)
    sums = np.array(list(product((-1, 1), repeat=17))) @ deltas
    exact = float(np.mean(np.abs(sums) >= abs(deltas.sum()) - 1e-9))
    draws = 19_999
    found = sign_flip_p(deltas, rng(1))
    assert found is not None
    assert abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / draws)
    assert found == sign_flip_p(deltas, rng(1)) != sign_flip_p(deltas, rng(2))
    assert found * (draws + 1) == pytest.approx(round(found * (draws + 1)))  # (b + 1) / (B + 1)


def test_permutation_by_number_of_pairs() -> None:
    assert sign_flip_p(np.ones(5), rng()) is None  # 2 / 2**5 > .05
    assert sign_flip_p(np.ones(6), rng()) == 2 / 2**6
    assert sign_flip_p(np.ones(16), rng()) == 2 / 2**16
    assert sign_flip_p(np.ones(40), rng()) == 1 / 20_000  # never 0
    assert sign_flip_p(np.zeros(8), rng()) == 1.0
    assert sign_flip_p([0.1, 0.2, -0.3, 0.1, 0.2, -0.3], rng()) == 1.0  # the sum is 0 up to rounding
    assert compare_deltas(np.ones(30), "minimize", rng(), permutations=0).p_permutation is None
    with pytest.raises(ValueError, match="permutations must be >= 1"):
        sign_flip_p(np.ones(6), rng(), 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_narrow_interval_is_tost(seed: int) -> None:
    control, treatment = arms(seed, 12, effect=0.1)
    p, *_ = ttost_paired(treatment, control, -0.4, 0.4)
    found = compare(control, treatment, "minimize", rng(), margin=0.4)
    assert found.interval90 is not None
    assert found.interval90.inside(0.4) == (p < 0.05)


def test_wins_count_by_the_goal() -> None:
    lower = of(-1.0, -2.0, 0.0, 3.0)
    assert (lower.wins, lower.ties, lower.losses) == (2, 1, 1)
    higher = of(-1.0, -2.0, 0.0, 3.0, goal="maximize")
    assert (higher.wins, higher.ties, higher.losses) == (1, 1, 2)
    assert lower.p_win == wilson(2.5, 4)
    assert lower.improvement == -lower.delta == -higher.improvement


def test_leave_one_out_by_hand() -> None:
    one = of(1.0, 1.2, 0.9, -1.0).leave_one_out
    assert one is not None
    assert (one.pair, one.changes_sign) == (3, False)
    assert one.low == pytest.approx(0.9 / 3)
    assert one.high == pytest.approx(3.1 / 3)
    assert of(1.0, 1.2, 0.9, -3.2).leave_one_out.changes_sign  # type: ignore[union-attr]


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(3, 12))
def test_leave_one_out_equals_the_comparisons_without_a_pair(seed: int, n: int) -> None:
    x = rng(seed).normal(0.4, 0.5, n)
    whole = of(*x)
    without = [of(*np.delete(x, i)) for i in range(n)]
    found = whole.leave_one_out
    assert found is not None
    assert whole.interval is not None
    assert found.low == pytest.approx(min(each.delta for each in without))
    assert found.high == pytest.approx(max(each.delta for each in without))
    assert found.changes_sign == any(each.delta * whole.delta <= 0 for each in without)
    excluded = {each.interval.excludes() for each in without if each.interval}
    assert found.changes_conclusion == (excluded != {whole.interval.excludes()})
    assert abs(without[found.pair].delta - whole.delta) == max(abs(each.delta - whole.delta) for each in without)


def test_how_many_more_pairs() -> None:
    x = rng(3).normal(0.0, 1.0, 8)
    total = pairs_needed(sd_upper(x), 0.5)
    assert total is not None
    assert of(*x, margin=0.5).needed == total - 8
    assert of(*x, margin=50.0).needed == 0
    assert of(*x, margin=1e-6).needed is None
    assert of(*x).needed is None
    smaller, larger = of(*x).detectable, of(*x, alpha=0.0194).detectable
    assert smaller is not None
    assert larger is not None
    assert smaller < larger


# --- properties


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(1, 20))
def test_exchanging_the_arms_mirrors_the_result(seed: int, n: int) -> None:
    control, treatment = arms(seed, n)
    one, two = compare(control, treatment, "minimize", rng()), compare(treatment, control, "minimize", rng())
    assert two.delta == pytest.approx(-one.delta)
    assert (two.wins, two.ties, two.losses) == (one.losses, one.ties, one.wins)
    assert one.p_t == two.p_t
    assert (one.rho, one.efficiency) == (pytest.approx(two.rho), two.efficiency)
    opposite = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert judge(two) == opposite.get(judge(one), judge(one))
    other_goal = compare(control, treatment, "maximize", rng())
    assert judge(other_goal) == judge(two)


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(2, 20), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_units_do_not_matter(seed: int, n: int, scale: float, shift: float) -> None:
    control, treatment = arms(seed, n)
    one = compare(control, treatment, "minimize", rng(), margin=0.2)
    two = compare(scale * control + shift, scale * treatment + shift, "minimize", rng(), margin=0.2 * scale)
    assert two.delta == pytest.approx(scale * one.delta, rel=1e-6, abs=1e-12)
    assert two.p_t == pytest.approx(one.p_t, rel=1e-5)
    assert two.needed == one.needed
    assert judge(two) == judge(one)


# --- degenerate data


def test_one_pair() -> None:
    one = compare([1.0], [0.5], "minimize", rng(), margin=0.1)
    assert (one.n, one.delta, one.wins) == (1, -0.5, 1)
    nothing = ("sd", "interval", "interval90", "p_t", "p", "p_permutation", "rho", "efficiency", "leave_one_out")
    assert [getattr(one, name) for name in (*nothing, "needed", "detectable")] == [None] * 11
    assert one.p_win == wilson(1, 1)
    assert judge(one) == Verdict.INCONCLUSIVE
    assert judge(compare([1.0], [1.0], "minimize", rng())) == Verdict.IDENTICAL


def test_two_pairs() -> None:
    two = compare([1.0, 2.0], [1.5, 2.6], "minimize", rng())
    assert two.interval is not None
    assert two.rho is None  # two points always lie on a line
    assert two.efficiency is not None
    assert two.leave_one_out is not None
    assert not two.leave_one_out.changes_conclusion


@pytest.mark.parametrize("n", [3, 8])
def test_equal_deltas_have_no_t_test(n: int) -> None:
    control = np.linspace(0.1, 0.7, n)
    same = compare(control, control + 0.1, "minimize", rng(), margin=0.01)  # equal up to rounding
    assert (same.sd, same.interval, same.p_t, same.needed, same.detectable) == (0.0, None, None, None, None)
    assert same.rho == pytest.approx(1.0)
    assert same.p == same.p_permutation == (None if n < 6 else 2 / 2**n)
    # Below 6 pairs equal deltas are inconclusive; from 6 pairs on the sign-flip test decides.
    assert judge(same) == (Verdict.INCONCLUSIVE if n < 6 else Verdict.WORSE)
    assert judge(dataclasses.replace(same, alpha=0.001)) == Verdict.INCONCLUSIVE


def test_identical_arms() -> None:
    x = rng().normal(size=7)
    same = compare(x, x, "maximize", rng(), margin=0.1)
    assert (same.delta, same.sd, same.ties, same.p_permutation) == (0.0, 0.0, 7, 1.0)
    assert same.efficiency == 0.0
    assert judge(same) == Verdict.IDENTICAL


def test_constant_arms() -> None:
    constant = compare([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "minimize", rng())
    assert constant.rho is None
    assert constant.efficiency == pytest.approx(1.0)
    both = compare([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "minimize", rng())
    assert (both.rho, both.efficiency) == (None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare([], [], "minimize", rng()), "at least 1 values of the control are required, found 0"),
        (lambda: compare([1.0], [1.0, 2.0], "minimize", rng()), "in every pair, found 1 and 2"),
        (lambda: compare([1.0, 2.0], [1.0, nan], "minimize", rng()), "values of the treatment must be finite"),
        (lambda: compare([1.0], [2.0], "min", rng()), "goal must be maximize or minimize, found 'min'"),
        (lambda: of(1.0, margin=0.0), "margin must be > 0"),
        (lambda: of(1.0, margin=inf), "margin must be > 0 and finite"),
        (lambda: of(1.0, alpha=0.5), "0 < 2 alpha < 1 is required"),
        (of, "at least 1 deltas"),
        (lambda: holm([0.1, 1.2]), r"\[0, 1\], found 1.2"),
        (lambda: mcnemar(-1, 2), "counts must be >= 0"),
        (lambda: instability(3, 0, 2), "diverged runs <= n = 2 is required, found 3"),
        (lambda: worst_rank([], [], "minimize"), "n >= 1"),
        (lambda: worst_rank([1.0], [1.0, 2.0], "minimize"), r"found \(1,\) and \(2,\)"),
        (lambda: two_level([1.0, 2.0]), "shape"),
        (lambda: two_level([[1.0, 2.0]]), "at least 2"),
        (lambda: two_level([[1.0, 2.0], [nan, 1.0]]), "finite"),
        (lambda: contrast({"a": [1.0], "b": [2.0]}, {"a": 1.0, "c": -1.0}), "must use the arms a, b, found c"),
        (lambda: contrast({"a": [1.0]}, {}), "found none"),
        (lambda: contrast({"a": [1.0], "b": [2.0]}, {"a": 1.0, "b": 1.0}), "sum to 0, found 2"),
        (lambda: contrast({"a": [1.0], "b": [2.0, 3.0]}, {"a": 1.0, "b": -1.0}), "different length"),
        (lambda: judge(of(1.0), family_alpha=1.0), "family_alpha"),
        (lambda: improvement(1.0, "up"), "goal"),  # type: ignore[arg-type]
    ],
)
def test_invalid_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- families and verdicts


@pytest.fixture(scope="module")
def _cheap_garbage_collection() -> Iterator[None]:
    """Make garbage collection cheap: the reference implementation collects garbage in every call."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_cheap_garbage_collection")
@settings(deadline=None)
@given(p=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_equals_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_counts_an_arm_without_p() -> None:
    assert holm([0.02, None]) == (0.04, None)
    assert holm([0.01, None, 0.02]) == pytest.approx((0.03, None, 0.04))
    assert holm([None, None]) == (None, None)
    assert holm([]) == ()


FAR, NEAR, WIDE = (0.5, 0.6, 0.55, 0.45), (0.05, 0.06, 0.055, 0.045), (-1.0, 1.2, 0.9, -0.8)


@pytest.mark.parametrize(
    ("deltas", "margin", "verdict"),
    [
        (FAR, None, Verdict.WORSE),
        (FAR, 0.1, Verdict.WORSE),
        (NEAR, None, Verdict.WORSE),
        (NEAR, 0.1, Verdict.NEGLIGIBLE),
        ((0.05, -0.06, 0.055, -0.045), 0.1, Verdict.EQUIVALENT),
        ((0.05, -0.06, 0.055, -0.045), None, Verdict.INCONCLUSIVE),
        (WIDE, 0.1, Verdict.INCONCLUSIVE),
        ((0.0, 0.0, 0.0), 0.1, Verdict.IDENTICAL),
    ],
)
def test_verdict_by_interval(deltas: tuple[float, ...], margin: float | None, verdict: Verdict) -> None:
    assert judge(of(*deltas, margin=margin)) == verdict
    mirrored = {Verdict.WORSE: Verdict.BETTER}.get(verdict, verdict)
    assert judge(of(*deltas, margin=margin, goal="maximize")) == mirrored


def test_the_adjusted_p_value_is_required() -> None:
    assert judge(of(*FAR), p_adjusted=0.05) == Verdict.WORSE
    assert judge(of(*FAR), p_adjusted=0.051) == Verdict.INCONCLUSIVE
    assert judge(of(*NEAR, margin=0.1), p_adjusted=0.051) == Verdict.EQUIVALENT
    assert judge(of(*WIDE), p_adjusted=0.01) == Verdict.INCONCLUSIVE  # the interval must exclude 0, too
    look = of(*FAR, alpha=0.0194)
    assert judge(look, p_adjusted=0.04) == Verdict.INCONCLUSIVE
    assert judge(look, p_adjusted=0.04, family_alpha=0.05) == Verdict.WORSE


def test_the_confidence_sequence_replaces_the_intervals() -> None:
    x = rng(1).normal(1.0, 1.0, 8)
    assert judge(of(*x)) == Verdict.WORSE
    assert judge(of(*x), interval=Interval(-0.1, 2.0)) == Verdict.INCONCLUSIVE
    assert judge(of(*x, margin=3.0), interval=Interval(-0.1, 2.0)) == Verdict.EQUIVALENT
    strong = rng(1).normal(3.0, 1.0, 12)
    assert judge(of(*strong), interval=e_interval(strong)) == Verdict.WORSE


def test_the_order_of_the_verdicts() -> None:
    identical, opposite = of(0.0, 0.0, 0.0), of(*(-x for x in FAR))
    assert judge(identical, comparable=False, unstable=True) == Verdict.NOT_COMPARABLE == "NOT COMPARABLE"
    assert judge(identical, unstable=True) == Verdict.UNSTABLE == "CONFOUNDED BY INSTABILITY"
    assert judge(identical, retuned=opposite) == Verdict.IDENTICAL
    assert judge(of(*FAR), retuned=opposite) == Verdict.TUNING_DEPENDENT == "TUNING-DEPENDENT"
    assert judge(of(*FAR), retuned=of(*FAR)) == Verdict.WORSE


def test_tuning_dependent_needs_a_clear_disagreement() -> None:
    assert tuning_dependent(of(*FAR), of(*(-x for x in FAR)))
    assert not tuning_dependent(of(*WIDE), of(*(-x for x in WIDE)))  # opposite signs, within the noise
    assert not tuning_dependent(of(*FAR), of(*NEAR))
    assert not tuning_dependent(of(0.5), of(-0.5))
    one, two = of(*WIDE, 2.0), of(-1.4, -2.0, -0.1, 0.4, -0.7, -1.0)
    expected = stats.ttest_ind(one.deltas, two.deltas, equal_var=False).pvalue
    assert tuning_dependent(one, two) == (expected < 0.05)


def test_beyond_the_margin() -> None:
    assert of(*FAR, margin=0.1).beyond_margin
    assert of(*(-x for x in FAR), margin=0.1).beyond_margin
    assert not of(*FAR, margin=0.5).beyond_margin
    assert not of(*FAR).beyond_margin
    assert not of(0.5, margin=0.1).beyond_margin


def test_instability_is_a_difference_of_counts() -> None:
    assert instability(0, 1, 5)
    assert instability(2, 0, 5)
    assert not instability(0, 0, 5)
    assert not instability(2, 2, 5)


# --- two levels, counts, contrasts


@pytest.mark.parametrize("shape", [(3, 4), (5, 2), (2, 9)])
def test_two_level_equals_an_analysis_of_variance(shape: tuple[int, int]) -> None:
    pairs, examples = shape
    draws = rng(pairs)
    x = draws.normal(0, 1, (pairs, 1)) + draws.normal(0, 1, (1, examples)) + draws.normal(0, 0.5, shape)
    frame = pd.DataFrame(
        {"y": x.ravel(), "pair": np.repeat(np.arange(pairs), examples), "example": np.tile(np.arange(examples), pairs)}
    )
    table = anova_lm(ols("y ~ C(pair) + C(example)", frame).fit())
    squares = (table["sum_sq"] / table["df"]).to_numpy() / x.size
    found = two_level(x)
    assert (found.v_seed, found.v_example, found.v_residual) == pytest.approx(tuple(squares))
    variance = squares[0] + squares[1] - squares[2]
    assert found.variance == pytest.approx(max(variance, squares[0], squares[1]))
    assert found.df == pytest.approx(found.variance**2 / np.sum(squares**2 / table["df"].to_numpy()))
    half = stats.t.ppf(0.975, found.df) * np.sqrt(found.variance)
    assert found.interval == pytest.approx((x.mean() - half, x.mean() + half))


def test_two_level_reduces_to_t_when_examples_agree() -> None:
    by_pair = rng().normal(size=6)
    found = two_level(np.repeat(by_pair[:, None], 40, axis=1))
    assert found.interval == pytest.approx(of(*by_pair).interval)
    assert found.df == pytest.approx(5)


def test_two_level_variance_has_a_lower_bound() -> None:
    found = two_level([[1.0, -1.0, 0.5], [-1.0, 1.2, -0.4]])
    assert found.v_seed + found.v_example < found.v_residual
    assert found.variance == max(found.v_seed, found.v_example)


def test_two_level_without_variation() -> None:
    for constant in ([[0.1, 0.1], [0.1, 0.1]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [-1.0, 1.0]]):
        found = two_level(constant)
        assert (found.df, found.interval) == (None, None)


@settings(deadline=None)
@given(b=st.integers(0, 60), c=st.integers(0, 60))
def test_mcnemar_equals_statsmodels(b: int, c: int) -> None:
    expected = 1.0 if b == c else statsmodels_mcnemar([[5, b], [c, 5]], exact=True).pvalue
    assert mcnemar(b, c) == pytest.approx(expected)


def test_a_failed_run_is_worse_than_any_finished_run() -> None:
    control, treatment = [1.0, nan, 2.0, nan, 3.0, 1.0], [2.0, 9.0, nan, inf, 3.0, 0.5]
    found = worst_rank(control, treatment, "minimize")
    assert (found.n, found.wins, found.ties, found.losses) == (6, 2, 2, 2)
    assert (found.failed_control, found.failed_treatment) == (2, 2)
    assert (found.favours, found.p) == ("neither", 1.0)
    other = worst_rank(control, treatment, "maximize")
    assert (other.wins, other.ties, other.losses) == (2, 2, 2)


def test_the_sensitivity_line() -> None:
    found = worst_rank([1.0] * 8, [0.9] * 7 + [nan], "minimize")
    assert found.favours == "treatment"
    assert found.p == pytest.approx(stats.binomtest(7, 8).pvalue)
    assert str(found) == (
        "failed runs ranked as worst: treatment wins 7, ties 0, loses 1 of 8 pairs "
        "(failed: control 0, treatment 1; sign test p=0.0703)"
    )
    assert worst_rank([0.9, 1.0], [1.0, nan], "minimize").favours == "control"


def test_contrasts_of_a_factorial() -> None:
    draws = rng()
    none, a, b, ab = draws.normal(size=(4, 6))
    values = {"none": none, "a": a, "b": b, "ab": ab, "unused": [1.0]}
    main = contrast(values, {"a": 0.5, "ab": 0.5, "none": -0.5, "b": -0.5})
    assert main == pytest.approx((a + ab - none - b) / 2)
    simple = contrast(values, {"a": 1.0, "none": -1.0})
    one, two = compare_deltas(simple, "minimize", rng()), compare(none, a, "minimize", rng())
    assert dataclasses.replace(two, rho=None, efficiency=None) == one


def test_rounding_is_not_an_interaction() -> None:
    values = {"none": [0.1], "a": [0.3], "b": [0.2], "ab": [0.4]}
    coefficients = {"ab": 1.0, "a": -1.0, "b": -1.0, "none": 1.0}
    assert sum(coefficients[name] * values[name][0] for name in coefficients) != 0.0
    assert contrast(values, coefficients).tolist() == [0.0]
