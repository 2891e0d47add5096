"""Odds of verdicts, against the power of statsmodels and against the nominal error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.statistics.odds import verdict_odds
from analysis.statistics.verdicts import Verdict

STUDIES = 1_000


def odds(improvement: float, n: int, **settings: object) -> dict[Verdict, float]:
    arguments = {"margin": None, "studies": STUDIES, **settings}
    [found] = verdict_odds(2.0, [improvement], n, np.random.default_rng(n), **arguments)  # type: ignore[arg-type]
    assert sum(found.values()) == pytest.approx(1.0)
    return dict(found)


def binomial(probability: float) -> tuple[float, float]:
    low, high = stats.binom.ppf([0.5e-4, 1 - 0.5e-4], STUDIES, probability) / STUDIES
    return float(low), float(high)


@pytest.mark.parametrize(("improvement", "n"), [(0.0, 5), (2.0, 5), (1.0, 20), (1.5, 24)])
def test_a_difference_is_found_with_the_power_of_the_t_test(improvement: float, n: int) -> None:
    found = odds(improvement, n)
    low, high = binomial(float(TTestPower().power(improvement / 2.0, n, 0.05)))
    assert low <= found.get(Verdict.BETTER, 0.0) + found.get(Verdict.WORSE, 0.0) <= high


@pytest.mark.parametrize("n", [20, 30])
def test_other_claims_cost_power_but_at_most_that_of_bonferroni(n: int) -> None:
    found = odds(1.5, n, family=5)[Verdict.BETTER]
    strict, single = (float(TTestPower().power(0.75, n, level)) for level in (0.01, 0.05))
    assert binomial(strict)[0] <= found <= binomial(strict)[1] < binomial(single)[0]


def test_the_verdicts_at_a_small_sd_are_those_of_the_truth() -> None:
    rng = np.random.default_rng(0)
    none, margin, twice = verdict_odds(1e-3, [0.0, 1.0, 2.0], 8, rng, margin=1.5, studies=50)
    assert none[Verdict.EQUIVALENT] > 0.8
    assert margin == {Verdict.NEGLIGIBLE: 1.0}
    assert twice == {Verdict.BETTER: 1.0}


def test_the_other_side_is_worse() -> None:
    assert odds(-20.0, 8, studies=50) == {Verdict.WORSE: 1.0}


@pytest.mark.parametrize("rule", [(5, 10), "e_process"])
def test_a_stopping_rule_errs_at_most_at_its_level(rule: object) -> None:
    found = odds(0.0, 10, rule=rule, studies=200)
    assert found.get(Verdict.BETTER, 0.0) + found.get(Verdict.WORSE, 0.0) <= stats.binom.ppf(0.9999, 200, 0.05) / 200
    assert odds(20.0, 10, rule=rule, studies=20) == {Verdict.BETTER: 1.0}


@pytest.mark.parametrize("wrong", [{"n": 1}, {"n": 5, "family": 0}, {"n": 5, "studies": 0}, {"n": 5, "alpha": 1.0}])
def test_impossible_studies_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="required"):
        odds(0.0, **wrong)
