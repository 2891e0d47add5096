"""The plan of an ablation from a pilot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.ablation.evidence import Evidence
from analysis.ablation.pilot import Cost, Plan, at_a_time, pilot_of, plan_of, scaled_looks
from analysis.statistics.verdicts import Verdict
from search_spaces import AblationSpec, UsageError
from sweeps.plan.ablation_plan import AblationPlan
from tests.analysis.made_evidence import TEXT, Score, evidence_of, seeded, spec_of

THREE = TEXT.replace("pairs: 10", "  other: {optimizer.lr: 1.0e-2}\npairs: 10")
RETUNED = f"{TEXT}design: both\nretune: {{runs: 4, over: [optimizer.lr]}}\n"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def seeds(spec: AblationSpec, runs: int) -> set[int]:
    plan = AblationPlan(spec, lambda finals, pairs: False)
    return {plan.propose(number).seed for number in range(runs)}


def pilot(spec: AblationSpec, score: Score, pairs: int = 3) -> Evidence:
    return evidence_of(pilot_of(spec, pairs), score)


def planned(spec: AblationSpec, score: Score, pairs: int = 3) -> Plan:
    return plan_of(spec, pilot(spec, score, pairs))


def test_a_pilot_has_the_arms_and_seeds_of_its_own() -> None:
    spec = spec_of(RETUNED)
    found = pilot_of(spec, 2)
    assert (found.name, found.pairs, found.designs, found.retune) == ("toy-pilot", 2, ("matched",), None)
    assert found.all_arms == spec.all_arms
    assert not seeds(found, 4) & seeds(spec, 100)
    assert seeds(found, 4) == seeds(pilot_of(spec, 4), 4)


def test_margin_contrasts_looks_and_pairs_may_change_after_the_pilot() -> None:
    spec = spec_of()
    metrics = spec.metrics.model_copy(update={"margin": 0.5})
    changed = spec.model_copy(update={"metrics": metrics, "looks": (3, 20), "pairs": 20, "question": "Really?"})
    assert pilot_of(changed, 3) == pilot_of(spec, 3)


def test_the_name_of_a_pilot_is_not_too_long() -> None:
    spec = spec_of()
    long = spec.model_copy(update={"space": spec.space.model_copy(update={"name": "a" * 64})})
    assert len(pilot_of(long, 2).name) == 64


@pytest.mark.parametrize("pairs", [0, 1, 5])
def test_the_number_of_pilot_pairs_has_limits(pairs: int) -> None:
    with pytest.raises(UsageError, match=f"^--pilot: must be 2 to 4 pairs, found {pairs}$"):
        pilot_of(spec_of(), pairs)


def test_without_a_margin_there_is_nothing_to_plan_for() -> None:
    spec = spec_of(TEXT.replace(", margin: 0.05", ""))
    with pytest.raises(UsageError, match=r"^--plan: toy has no metrics.margin.* such as margin: 0.01$"):
        plan_of(spec, pilot(spec, seeded(0.0)))


def test_pairs_needed_are_those_of_statsmodels() -> None:
    spec = spec_of()
    evidence = pilot(spec, seeded(-0.3, spread=0.04), 4)
    plan = plan_of(spec, evidence)
    control, treatment = (evidence.values("matched", arm, "test/nll", 4) for arm in ("control", "treatment"))
    sd = float(np.std(treatment - control, ddof=1))
    upper = sd * np.sqrt(3 / stats.chi2.ppf(0.2, 3))
    [one] = plan.contrasts
    assert one.observed is not None
    assert one.upper is not None
    assert (one.pairs, one.rho) == (4, pytest.approx(stats.pearsonr(control, treatment)[0]))
    for at, expected in ((one.observed, sd), (one.upper, upper)):
        assert at.sd == pytest.approx(expected)
        for power in (0.8, 0.9):
            exact = TTestPower().solve_power(effect_size=0.05 / expected, alpha=0.05, power=power)
            assert at.needed[power] == ceil(exact)
        assert at.power == pytest.approx(TTestPower().power(0.05 / expected, 10, 0.05), abs=1e-6)
    assert plan.pairs == one.upper.needed[0.8]


def test_every_contrast_is_planned_at_the_level_that_holm_asks_at_most() -> None:
    plan = planned(
        spec_of(THREE), lambda design, arm, pair: seeded(0.0, 0.02 if arm == "other" else 0.04)(design, arm, pair)
    )
    assert plan.level == 0.025
    assert len(plan.contrasts) == 2
    for one in plan.contrasts:
        assert one.upper is not None
        exact = TTestPower().solve_power(effect_size=0.05 / one.upper.sd, alpha=0.025, power=0.8)
        assert one.upper.needed[0.8] == ceil(exact)
    needed = [one.upper.needed[0.8] for one in plan.contrasts if one.upper is not None]
    assert plan.pairs == max(count for count in needed if count is not None)


def test_the_odds_agree_with_the_power_and_the_level() -> None:
    plan = planned(spec_of(), seeded(-0.3, spread=0.03), 4)
    none, margin, twice = plan.contrasts[0].odds
    assert [one.improvement for one in (none, margin, twice)] == [0.0, 0.05, 0.1]
    real = sum(margin.verdicts.get(verdict, 0.0) for verdict in (Verdict.BETTER, Verdict.NEGLIGIBLE))
    assert 0.7 < real < 0.95
    assert none.verdicts.get(Verdict.BETTER, 0.0) < 0.06
    assert twice.verdicts[Verdict.BETTER] > 0.98


def test_the_size_of_the_effect_in_the_pilot_does_not_change_the_plan() -> None:
    assert planned(spec_of(), seeded(5.0)).pairs == planned(spec_of(), seeded(0.0)).pairs


def test_costs_are_those_of_the_pilot_for_every_run_that_is_planned() -> None:
    spec = spec_of(RETUNED)
    evidence = pilot(spec, seeded(0.0, 0.03), 2)
    rows = [
        {"number": number, "attempt": 1, "hardware": "GPU", "gpus": 0.5, "seconds": 3600.0, "cpu_seconds": 1800.0}
        | {"peak_memory": 1, "parameters": 1, "energy_j": None}
        for number in range(4)
    ]
    moved = [
        replace(
            run,
            started_at=NOON + timedelta(hours=run.number // 2),
            finished_at=NOON + timedelta(hours=run.number // 2 + 1),
        )
        for run in evidence.runs
    ]
    plan = plan_of(spec, replace(evidence, usage=pd.DataFrame(rows), runs=moved))
    runs = 2 * 4 + 10 * 2 * 2  # tries of both arms, pairs in both designs
    assert plan.costs[-1] == Cost(10, runs, 48.0, 24.0, 24.0, 24.0)
    assert plan.at_a_time == 2
    [one] = plan.contrasts
    assert one.observed is not None
    assert [cost.pairs for cost in plan.costs] == [plan.pairs, one.observed.needed[0.8], 10]


def test_without_records_costs_are_unknown() -> None:
    assert planned(spec_of(), seeded(0.0)).costs[-1] == Cost(10, 20, None, None, None, None)


def test_runs_that_follow_each_other_are_not_at_the_same_time() -> None:
    [first, second, *_] = pilot(spec_of(), seeded(0.0)).runs
    hour = timedelta(hours=1)
    one = replace(first, started_at=NOON, finished_at=NOON + hour)
    assert at_a_time([one, replace(second, started_at=NOON + hour, finished_at=NOON + 2 * hour)]) == 1
    assert at_a_time([one, replace(second, started_at=NOON + hour / 2, finished_at=NOON + 2 * hour)]) == 2
    assert at_a_time([first]) == at_a_time([]) == 1


def test_a_pilot_without_spread_or_with_failures_plans_nothing() -> None:
    equal = planned(spec_of(), lambda design, arm, pair: 0.5)
    assert (equal.pairs, equal.contrasts[0].upper, equal.contrasts[0].odds) == (None, None, ())
    failed = planned(spec_of(), lambda design, arm, pair: None if pair else 0.5)
    assert (failed.pairs, failed.contrasts[0].pairs) == (None, 1)


def test_a_margin_that_no_feasible_number_of_pairs_detects() -> None:
    plan = planned(spec_of(), seeded(0.0, spread=30.0))
    assert plan.pairs is None
    assert plan.costs[0].pairs == 10
    assert plan.contrasts[0].odds


def test_looks_keep_their_share_of_the_pairs() -> None:
    spec = spec_of().model_copy(update={"looks": (5, 10, 20), "pairs": 20})
    assert scaled_looks(spec, 40) == (10, 20, 40)
    assert scaled_looks(spec, 4) == (3, 4)
    assert scaled_looks(spec, 3) == (3,)
    assert scaled_looks(spec_of(), 40) is None
    assert scaled_looks(spec_of().model_copy(update={"looks": "e_process"}), 40) == "e_process"
