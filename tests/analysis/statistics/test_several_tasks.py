"""Effects over several tasks: against scipy, statsmodels, published tables and computations by hand."""

from math import isclose, sqrt

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from analysis.statistics.paired import compare_deltas, tuning_dependent
from analysis.statistics.several_tasks import (
    combined_mean,
    critical_difference,
    interquartile_mean,
    random_effects,
)

UNEQUAL = ([0.1, 0.4, 0.2], [1.0, 1.3, 0.7, 1.1], [-0.5, 0.9, 0.1, 0.4, 0.2])


def test_the_mean_of_two_samples_is_the_test_of_welch() -> None:
    one, two = np.array(UNEQUAL[0]), np.array(UNEQUAL[1])
    found = combined_mean([one, two], [1.0, -1.0])
    welch = stats.ttest_ind(one, two, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert_allclose([found.value / found.se, found.df, found.p], [welch.statistic, welch.df, welch.pvalue])
    assert_allclose(found.interval, [interval.low, interval.high])
    assert_allclose(found.interval90, list(welch.confidence_interval(0.90)))


def test_the_mean_over_tasks_by_hand() -> None:
    found = combined_mean(UNEQUAL)
    parts = [np.var(one, ddof=1) / len(one) / 9 for one in UNEQUAL]
    df = sum(parts) ** 2 / sum(part**2 / (len(one) - 1) for part, one in zip(parts, UNEQUAL, strict=True))
    assert_allclose(
        [found.value, found.se, found.df], [np.mean([np.mean(one) for one in UNEQUAL]), sqrt(sum(parts)), df]
    )
    assert found.interval is not None
    assert_allclose(found.interval.high - found.value, stats.t.ppf(0.975, df) * sqrt(sum(parts)))


def test_one_task_is_the_paired_t_test() -> None:
    found, oracle = combined_mean([UNEQUAL[2]]), stats.ttest_1samp(UNEQUAL[2], 0.0)
    assert_allclose([found.p, *(found.interval or ())], [oracle.pvalue, *oracle.confidence_interval(0.95)])


def test_samples_without_spread_have_no_interval() -> None:
    found = combined_mean([[0.5, 0.5], [1.5, 1.5]])
    assert (found.value, found.se, found.interval, found.p) == (1.0, 0.0, None, None)
    partly = combined_mean([[0.5, 0.5], [1.0, 2.0]])
    assert partly.interval is not None
    assert partly.df == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_random_effects_agree_with_statsmodels_at_equal_variances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tasks = int(rng.integers(3, 9))
    noise = np.array([-0.2, 0.1, 0.1, 0.3, -0.3])
    samples = [rng.normal(0.1, 0.5) + noise for _ in range(tasks)]
    means, variances = np.array([one.mean() for one in samples]), np.full(tasks, noise.var(ddof=1) / len(noise))
    found = random_effects(samples)
    oracle = combine_effects(means, variances, method_re="chi2", use_t=True)
    low, high = oracle.conf_int(use_t=True)[3]
    assert_allclose([found.value, *(found.interval or ())], [oracle.mean_effect_re, low, high], rtol=1e-6)
    assert_allclose(found.tau**2, oracle.tau2, atol=1e-9)
    assert found.df == tasks - 1


def test_random_effects_of_unequal_variances_weigh_each_task_alike() -> None:
    samples = ([0.1, 0.2, 0.3], [1.0, 1.4, 0.9, 0.7], [-0.50001, -0.49999])
    found, means = random_effects(samples), [np.mean(one) for one in samples]
    oracle = stats.ttest_1samp(means, 0.0)
    assert_allclose([found.value, *(found.interval or ())], [np.mean(means), *oracle.confidence_interval(0.95)])
    within = np.mean([np.var(one, ddof=1) / len(one) for one in samples])
    assert_allclose(found.tau, sqrt(np.var(means, ddof=1) - within))


def test_tasks_like_these_are_never_known_better_than_these_tasks() -> None:
    samples = ([0.0, 1.0, 0.5], [0.3, 0.7, 0.5], [-0.5, 1.5, 0.51])  # their means agree by chance
    found, these = random_effects(samples), combined_mean(samples)
    assert found.interval is not None
    assert_allclose(found.interval.high - found.value, stats.t.ppf(0.975, 2) * these.se)
    assert found.tau == 0.0


def test_random_effects_without_spread() -> None:
    assert random_effects([[0.5, 0.5]] * 3).interval is None
    exact = random_effects([[0.1, 0.1], [0.5, 0.5], [0.3, 0.3]])
    oracle = stats.ttest_1samp([0.1, 0.5, 0.3], 0.0)
    assert_allclose(exact.interval or (), [*oracle.confidence_interval(0.95)])


def test_fewer_than_three_tasks_say_nothing_about_others() -> None:
    with pytest.raises(ValueError, match="at least 3 tasks"):
        random_effects(UNEQUAL[:2])


def test_the_interquartile_mean_is_that_of_all_values() -> None:
    values = [[float(v) for v in range(8)], [100.0, -100.0, 3.0, 4.0]]
    found, interval = interquartile_mean(values, np.random.default_rng(0))
    ordered = sorted([*values[0], *values[1]])
    assert_allclose(found, np.mean(ordered[3:9]))  # a quarter of the 12 values is left out at each end
    assert interval.low <= found <= interval.high
    again = interquartile_mean(values, np.random.default_rng(0))
    assert again == (found, interval)


def test_the_bootstrap_draws_within_each_task() -> None:
    # Each task has one value, so every draw is the same; draws over all values would differ.
    _, interval = interquartile_mean([[1.0], [2.0], [3.0], [9.0]], np.random.default_rng(0))
    assert interval == (2.5, 2.5)


def test_ranks_agree_with_scipy_and_a_hand_computation() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(6, 4)).round(1)
    found = critical_difference(scores, "maximize")
    assert_allclose(found.p, stats.friedmanchisquare(*scores.T).pvalue)
    assert_allclose(found.ranks, stats.rankdata(-scores, axis=1).mean(axis=0))
    lower = critical_difference(-scores, "minimize")
    assert lower == found


@pytest.mark.parametrize(("arms", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_has_the_quantiles_of_the_published_table(arms: int, quantile: float) -> None:
    # Demsar 2006, table 5 (a): two-tailed Nemenyi test at .05.
    found = critical_difference(np.arange(8 * arms).reshape(8, arms) % 7, "maximize")
    assert isclose(found.difference, quantile * sqrt(arms * (arms + 1) / 48), rel_tol=3e-4)
    oracle = stats.studentized_range.isf(0.05, arms, np.inf) / sqrt(2)
    assert isclose(found.difference, oracle * sqrt(arms * (arms + 1) / 48))


def test_equal_scores_have_no_test() -> None:
    assert critical_difference(np.ones((5, 3)), "minimize").p is None


def test_tuning_dependence_is_the_test_of_welch_over_two_designs() -> None:
    rng = np.random.default_rng(1)
    matched = compare_deltas([0.2, 0.3, 0.25, 0.31], "maximize", rng)
    retuned = compare_deltas([-0.1, -0.2, 0.1, -0.3], "maximize", rng)
    p = stats.ttest_ind(matched.deltas, retuned.deltas, equal_var=False).pvalue
    assert tuning_dependent(matched, retuned) == (p < 0.05)


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.parametrize(("tasks", "pairs", "spread"), [(3, 3, 0.0), (3, 10, 1.0), (5, 3, 1.0), (10, 5, 0.5)])
def test_both_intervals_contain_what_they_are_about(tasks: int, pairs: int, spread: float) -> None:
    """The last task has four times the standard deviation of the others; `spread` is that of the true effects."""
    rng = np.random.default_rng([tasks, pairs])
    studies, these, like_these = 2000, 0, 0
    sds = [1.0] * (tasks - 1) + [4.0]
    for _ in range(studies):
        true = rng.normal(0.3, spread, tasks)
        samples = [rng.normal(effect, sd, pairs) for effect, sd in zip(true, sds, strict=True)]
        near, wide = combined_mean(samples).interval, random_effects(samples).interval
        assert near is not None
        assert wide is not None
        these += near.low <= true.mean() <= near.high
        like_these += wide.low <= 0.3 <= wide.high
    # Three standard errors of a share of 2,000 studies below .94 and .945.
    assert these / studies > 0.925
    assert like_these / studies > 0.93
