"""The checks on sweeps with known effects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from analysis.sweep.checks.search_checks import check_sweep
from analysis.sweep.evidence import SweepEvidence, read_sweep
from analysis.sweep.good_region import good_region
from analysis.sweep.new_ranges import suggested_ranges
from analysis.sweep.rung_correlation import rung_correlations
from analysis.sweep.score_noise import expected_maximum, score_noise, selection_optimism
from search_spaces import (
    Asha,
    Choice,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    UsageError,
    parse_space,
    random_point,
)
from sweeps.run_state import RunState
from tests.analysis.made_sweeps import BETA, LR, WARMUP, WD, Score, made_sweep, peak, saturating, spec_of
from tests.fakes import CurveRunner, run_sweep, space, unstable
from trainers.check import Check, Outcome

FORBIDDEN = ("significant", "no effect", "trend", "proves", "marginally")


def checks_of(evidence: SweepEvidence) -> dict[str, Check]:
    return {check.name: check for check in check_sweep(evidence)}


def outcome(evidence: SweepEvidence, name: str) -> Outcome:
    return checks_of(evidence)[name].outcome


@pytest.fixture(scope="module")
def healthy() -> SweepEvidence:
    """Return a sweep in which only the learning rate matters, with the baseline a decade below the best one."""
    return made_sweep(peak(0.6), spec_of(recipe=spec_of().recipe.model_copy(update={"optimizer": _adamw(1e-4)})))


def _adamw(lr: float) -> object:
    return spec_of().recipe.optimizer.model_copy(update={"lr": lr})


# --- the evidence -----------------------------------------------------------------------------------------------


def test_the_evidence_is_what_the_sweep_recorded(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(), sqlite_url, tmp_path, CurveRunner(unstable))
    evidence = read_sweep(sqlite_url, "toy")
    assert evidence.spec == space()
    assert [run.number for run in evidence.runs] == list(range(12))
    for mine, theirs in zip(evidence.runs, conductor.runs, strict=True):
        assert (mine.state, mine.epoch, mine.value, mine.recipe) == (
            theirs.state,
            theirs.epoch,
            theirs.value,
            theirs.recipe,
        )
        assert mine.curve == theirs.curve
        assert mine.values.keys() == space().search.keys()
    best = conductor.best()
    assert best is not None
    assert evidence.best is not None
    assert evidence.best.number == evidence.ranked[0].number == best.number
    assert {run.state for run in evidence.runs} >= {RunState.COMPLETE, RunState.STOPPED, RunState.DIVERGED}


def test_an_unknown_sweep_is_refused_with_a_suggestion(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(runs=2), sqlite_url, tmp_path)
    with pytest.raises(UsageError, match="no sweep 'tyo' in the database: did you mean toy"):
        read_sweep(sqlite_url, "tyo")


# --- all together -----------------------------------------------------------------------------------------------


def test_a_healthy_sweep_passes_all(healthy: SweepEvidence) -> None:
    found = check_sweep(healthy)
    assert {check.name: check.outcome for check in found if check.outcome is not Outcome.PASS} == {}
    assert len({check.name for check in found}) == len(found) >= 9
    assert check_sweep(healthy) == found


def test_the_words(healthy: SweepEvidence, sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(), sqlite_url, tmp_path, CurveRunner(unstable))
    for evidence in (healthy, read_sweep(sqlite_url, "toy"), made_sweep(peak(1.0)), made_sweep(peak(0.25, noise=0.3))):
        for check in check_sweep(evidence):
            text = f"{check.evidence} {check.next_step}"
            assert not any(word in text.lower() for word in FORBIDDEN)
            assert check.evidence.endswith(".")
            assert "nan" not in text
            assert bool(check.next_step) or check.outcome is Outcome.PASS


# --- the edge ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "new"), [(1.0, LogUniform(2.2e-4, 2.2)), (0.0, LogUniform(4.6e-7, 4.6e-3))])
def test_an_optimum_at_an_end_moves_the_range(at: float, new: LogUniform) -> None:
    """It moves by a third of four decades; the good runs are at that end, so the other end follows."""
    evidence = made_sweep(peak(at))
    ranges = suggested_ranges(evidence)
    assert ranges == {LR: new}
    check = checks_of(evidence)[f"edge of {LR}"]
    assert check.outcome is Outcome.WARN
    assert f"{LR}: {{loguniform: [{new.low}, {new.high}]}}" in check.next_step


def test_a_best_point_at_an_edge_without_other_good_runs_may_be_chance() -> None:
    """The weight decay has no effect, but the best run has the highest one."""
    points = {5: {LR: 1e-3, WD: 0.99, WARMUP: 0.15, BETA: 0.98}}

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        lucky = 0.003 if places[WD] > 0.99 else 0.0
        return peak(0.5, noise=0.0)(places, share, rng) + lucky

    evidence = made_sweep(score, points=points)
    assert evidence.best is not None
    assert evidence.best.number == 5
    check = checks_of(evidence)[f"edge of {WD}"]
    assert check.outcome is Outcome.PASS
    assert "chance" in check.evidence
    assert suggested_ranges(evidence) == {}


def _by(field: str, at: float) -> Score:
    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return (0.9 - 0.5 * (places[field] - at) ** 2) * saturating(share) + 0.0005 * rng.normal()

    return score


def test_a_limit_of_the_recipe_is_not_an_edge() -> None:
    """The warmup cannot be negative."""
    evidence = made_sweep(_by(WARMUP, 0.0))
    check = checks_of(evidence)[f"edge of {WARMUP}"]
    assert check.outcome is Outcome.PASS
    assert "nothing beyond 0" in check.evidence
    assert suggested_ranges(evidence) == {}


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        (WARMUP, Uniform(0.0, 0.3), Uniform(0.1, 0.4)),
        (WARMUP, Uniform(0.0, 0.9), Uniform(0.1, 0.98)),  # the step is halved until the end is below 1
        ("budget.batch_size", RandInt(16, 64), RandInt(32, 80)),
        (WARMUP, QUniform(0.0, 0.3, 0.05), QUniform(0.1, 0.4, 0.05)),
    ],
)
def test_every_kind_of_range_moves(field: str, old: Uniform | RandInt | QUniform, new: object) -> None:
    evidence = made_sweep(_by(field, 1.0), spec_of(search={LR: LogUniform(1e-5, 1e-1), field: old}))
    moved = suggested_ranges(evidence)[field]
    assert type(moved) is type(new)
    low, high = (float(end) for end in moved.edges())  # type: ignore[arg-type]
    first, last = (float(end) for end in old.edges())  # type: ignore[arg-type]
    assert last < high < 1.0 or field == "budget.batch_size"
    assert first < low < last
    head = "kind: sweep\ntask: digits\nmetric: {name: val/accuracy, goal: maximize}\nruns: 3\n"
    text = f"{head}search: {{{_line(evidence, field)}}}"
    assert parse_space(text, "f.yaml", "f").search[field] == moved


@pytest.mark.parametrize(
    ("old", "at", "new"),
    [
        (Uniform(0.1, 1.0), 0.0, Uniform(0.03, 0.92)),  # the step is halved until the end is above 0
        (Uniform(-1.0, -0.1), 1.0, Uniform(-0.93, -0.03)),
        (Uniform(0.0, 1.0), 0.0, None),
        (RandInt(1, 8), 0.0, None),
        (Uniform(-0.1, 1.0), 0.0, Uniform(-0.5, 0.6)),
    ],
)
def test_the_ends_of_a_range_keep_their_sign(old: Uniform | RandInt, at: float, new: Uniform | None) -> None:
    field = "custom.scale"
    recipe = spec_of().recipe.model_copy(update={"custom": {"scale": old.from_unit(0.5)}})
    evidence = made_sweep(_by(field, at), spec_of(recipe=recipe, search={LR: LogUniform(1e-5, 1e-1), field: old}))
    assert suggested_ranges(evidence).get(field) == new


def _line(evidence: SweepEvidence, field: str) -> str:
    return checks_of(evidence)[f"edge of {field}"].next_step.removeprefix("Search ").partition(" next: ")[0]


@pytest.mark.slow
@pytest.mark.parallel
def test_edges_are_found_and_chance_is_not() -> None:
    """With random points, most planted edges are found, and few if the optimum is inside or nothing matters."""

    def flat(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.8 + 0.01 * rng.normal()

    rates = {}
    for name, score in {"planted": peak(1.0, noise=0.005), "inside": peak(0.5, noise=0.01), "flat": flat}.items():
        suggested = []
        for seed in range(10):
            points = {n: random_point(spec_of().search, seed, n) for n in range(1, 30)}
            evidence = made_sweep(score, spec_of(runs=30), points=points, seed=seed)
            suggested.append(
                LR in suggested_ranges(evidence) if name == "planted" else suggested_ranges(evidence) != {}
            )
        rates[name] = np.mean(suggested)
    assert rates["planted"] >= 0.8
    assert rates["inside"] <= 0.2
    assert rates["flat"] <= 0.2


def test_a_range_with_a_good_run_at_its_other_end_only_grows() -> None:
    points = {3: {LR: 1e-5, WD: 0.01, WARMUP: 0.1, BETA: 0.98}}

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return peak(1.0)({LR: max(places[LR], 0.9 if places[LR] == 0.0 else 0.0)}, share, rng)

    [(field, moved)] = suggested_ranges(made_sweep(score, points=points)).items()
    assert (field, moved) == (LR, LogUniform(1e-5, 2.2))


def test_a_baseline_outside_the_ranges_is_inside_the_new_one() -> None:
    recipe = spec_of().recipe.model_copy(update={"optimizer": _adamw(1e-1)})
    evidence = made_sweep(
        peak(1.0), spec_of(recipe=recipe, search={LR: LogUniform(1e-6, 1e-2), WD: LogUniform(1e-4, 1)})
    )
    moved = suggested_ranges(evidence)[LR]
    assert isinstance(moved, LogUniform)
    assert moved.low < 1e-1 < moved.high


def test_choices_and_normal_distributions() -> None:
    search = {LR: LogUniform(1e-5, 1e-1), WD: Normal(0.5, 0.1), BETA: Choice([0.95, 0.999])}
    assert suggested_ranges(made_sweep(peak(), spec_of(search=search))) == {}


# --- the good region, coverage, failures ------------------------------------------------------------------------


def test_a_needle_has_too_few_good_runs(healthy: SweepEvidence) -> None:
    def needle(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return (0.5 + 0.4 * math.exp(-(((places[LR] - 0.6) / 0.02) ** 2))) * saturating(share) + 0.0005 * rng.normal()

    assert outcome(made_sweep(needle), "runs in the good region") is Outcome.WARN
    region = good_region(healthy)
    assert region is not None
    assert len(region.runs) >= 5
    assert all(4e-4 < healthy.runs[number].recipe.optimizer.lr < 2e-2 for number in region.runs)


def test_pure_noise_is_one_large_good_region() -> None:
    def flat(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.8 + 0.01 * rng.normal()

    evidence = made_sweep(flat)
    assert outcome(evidence, "runs in the good region") is Outcome.PASS
    assert outcome(evidence, "number of runs") is Outcome.PASS
    assert outcome(evidence, "selection optimism") is Outcome.WARN


def test_infeasible_runs_are_counted_and_located(healthy: SweepEvidence) -> None:
    def unstable_above(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return math.nan if places[LR] > 0.6 else peak(0.4)(places, share, rng)

    check = checks_of(made_sweep(unstable_above))["infeasible runs"]
    assert check.outcome is Outcome.WARN
    assert f"they are at {LR}" in check.evidence
    assert "and above" in check.evidence
    assert outcome(healthy, "infeasible runs") is Outcome.PASS
    failed = made_sweep(peak(), states=dict.fromkeys(range(1, 12), RunState.FAILED))
    assert "failed (11)" in checks_of(failed)["infeasible runs"].evidence
    some = made_sweep(peak(), states=dict.fromkeys(range(1, 11), RunState.FAILED))
    assert outcome(some, "infeasible runs") is Outcome.PASS  # 25 % is not more than 25 %


def test_a_sweep_without_a_complete_run_fails() -> None:
    evidence = made_sweep(peak(), states=dict.fromkeys(range(40), RunState.DIVERGED))
    found = checks_of(evidence)
    assert found["runs that ended"].outcome is Outcome.FAIL
    assert found["infeasible runs"].outcome is Outcome.FAIL
    assert found["better than the baseline"].outcome is Outcome.FAIL
    assert suggested_ranges(evidence) == {}


def test_a_running_sweep() -> None:
    evidence = made_sweep(peak(), states={39: RunState.RUNNING})
    assert outcome(evidence, "runs that ended") is Outcome.WARN


def test_an_uncovered_region() -> None:
    points = {n: {LR: 1e-4 * (1 + n / 100), WD: 0.01, WARMUP: 0.1, BETA: 0.98} for n in range(1, 40)}
    check = checks_of(made_sweep(peak(), points=points))["coverage"]
    assert check.outcome is Outcome.WARN
    assert f"upper third of {LR}" in check.evidence
    assert f"option 0.95 of {BETA}" in check.evidence
    few = made_sweep(peak(), spec_of(runs=5))
    assert outcome(few, "coverage") is Outcome.WARN


# --- the winner -------------------------------------------------------------------------------------------------


def test_a_baseline_that_is_the_best_run(healthy: SweepEvidence) -> None:
    evidence = made_sweep(peak(0.5, noise=0.0))  # the position of the baseline
    assert outcome(evidence, "better than the baseline") is Outcome.FAIL
    assert outcome(evidence, "selection optimism") is Outcome.PASS
    assert outcome(healthy, "better than the baseline") is Outcome.PASS
    diverged = made_sweep(peak(), states={0: RunState.DIVERGED})
    assert outcome(diverged, "better than the baseline") is Outcome.WARN


def test_the_expected_maximum() -> None:
    assert expected_maximum(1) == pytest.approx(0.0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert expected_maximum(10) == pytest.approx(1.5388, abs=1e-3)
    assert expected_maximum(100) == pytest.approx(2.5076, abs=1e-3)


@pytest.mark.parametrize(("runs", "quality"), [(10, 0.005), (30, 0.005), (100, 0.005), (30, 0.02)])
def test_optimism_agrees_with_a_simulation(runs: int, quality: float) -> None:
    """With noise .005: the winner's score minus its quality, and the estimate from the scores alone."""
    rng = np.random.default_rng(1)
    true, estimated = [], []
    for _ in range(400):
        level = quality * rng.normal(size=runs)
        scores = level + 0.005 * rng.normal(size=runs)
        best = int(np.argmax(scores))
        true.append(scores[best] - level[best])
        estimated.append(selection_optimism(scores.tolist(), 0.005, True))
    assert np.mean(estimated) == pytest.approx(np.mean(true), rel=0.25)


def test_the_noise_is_estimated_from_repeats_if_possible() -> None:
    points = {n: {LR: 1e-3, WD: 0.01, WARMUP: 0.1, BETA: 0.98} for n in range(1, 31)}
    rng = np.random.default_rng(5)
    shift = {n: 0.03 * rng.normal() for n in range(31)}
    numbers = iter(range(31))

    def score(places: Mapping[str, float], share: float, own: np.random.Generator) -> float:
        number = next(numbers) if share == 1 / 20 else score.number  # type: ignore[attr-defined]
        score.number = number  # type: ignore[attr-defined]
        return 0.8 + shift[number]

    found = score_noise(made_sweep(score, spec_of(runs=31), points=points))
    assert found is not None
    assert found.sd == pytest.approx(0.03, rel=0.3)
    assert not found.bound
    assert found.method == "30 repeats of 1 recipe"
    along = score_noise(made_sweep(peak(0.5, noise=0.01)))
    assert along is not None
    assert along.bound
    assert along.sd == pytest.approx(0.01, rel=0.3)


def test_a_search_that_still_improves(healthy: SweepEvidence) -> None:
    def steep(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.3 + 0.6 * float(np.prod(list(places.values()))) * saturating(share)

    assert outcome(made_sweep(steep, spec_of(runs=12)), "number of runs") is Outcome.WARN
    assert outcome(healthy, "number of runs") is Outcome.PASS


# --- along the training -----------------------------------------------------------------------------------------


def crossing(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
    """Return a score in which high learning rates are better at first and low ones at the end."""
    return 0.5 + 0.3 * (places[LR] - 0.5) * math.cos(math.pi * share) + 0.001 * rng.normal()


def test_rungs_with_a_negative_rank_correlation(healthy: SweepEvidence) -> None:
    name = "rank correlation of the rungs"
    wrong = checks_of(made_sweep(crossing))[name]
    assert wrong.outcome is Outcome.FAIL
    assert "-0.9" in wrong.evidence or "-1.0" in wrong.evidence
    assert outcome(healthy, name) is Outcome.PASS
    few = made_sweep(peak(), spec_of(runs=4))
    assert outcome(few, name) is Outcome.WARN


def test_promoted_runs_have_to_contradict_the_rungs() -> None:
    """They differ less than all runs, so a low correlation among them is no warning, but a clearly low one is."""
    name = "rank correlation of the rungs"
    spec = spec_of(early_stopping=Asha(grace_epochs=1, reduction_factor=3), runs=64)
    assert outcome(made_sweep(crossing, spec), name) is Outcome.WARN
    found = checks_of(made_sweep(peak(0.6, noise=0.02), spec))[name]
    assert float(found.evidence.partition("correlation of ")[2].split()[0]) < 0.5
    assert found.outcome is Outcome.PASS


def test_rung_correlations_have_intervals_that_cover_them(healthy: SweepEvidence) -> None:
    rows = rung_correlations(healthy, np.random.default_rng(0))
    assert [(row.rung, row.later) for row in rows] == [(1, 20), (3, 20), (9, 20), (1, 3), (3, 9)]
    for row in rows:
        assert row.spearman is not None
        assert row.kendall is not None
        assert row.interval is not None
        assert row.interval.low <= row.spearman <= row.interval.high
        assert row.kendall <= row.spearman
        assert row.runs == 40
    assert rung_correlations(healthy, np.random.default_rng(0)) == rows


def test_a_run_that_was_stopped_ahead_of_the_winner() -> None:
    def fading(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.9 - 0.3 * share - 0.2 * (places[LR] - 0.5) ** 2 + 0.001 * rng.normal()

    name = "stopped ahead of the winner"
    spec = spec_of(early_stopping=Asha(grace_epochs=1, reduction_factor=3))
    assert outcome(made_sweep(fading, spec), name) is Outcome.WARN
    assert outcome(made_sweep(peak(0.6), spec), name) is Outcome.PASS
    assert name not in checks_of(made_sweep(peak()))


def test_a_budget_that_is_too_long_or_too_short(healthy: SweepEvidence) -> None:
    def overfits(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.9 - 0.3 * share + 0.001 * rng.normal()

    def climbs(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.2 + 0.6 * share + 0.001 * rng.normal()

    late, early = checks_of(made_sweep(climbs)), checks_of(made_sweep(overfits))
    assert early["best epoch"].outcome is Outcome.WARN
    assert "too long" in early["best epoch"].next_step
    assert early["still improving at the end"].outcome is Outcome.PASS
    assert late["best epoch"].outcome is Outcome.WARN
    assert "Train longer" in late["best epoch"].next_step
    assert late["still improving at the end"].outcome is Outcome.WARN
    assert outcome(healthy, "best epoch") is Outcome.PASS
    assert outcome(healthy, "still improving at the end") is Outcome.PASS


def test_a_short_budget_cannot_be_checked() -> None:
    recipe = spec_of().recipe
    short = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"epochs": 3})})
    assert outcome(made_sweep(peak(), spec_of(recipe=short)), "best epoch") is Outcome.WARN


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_plateau_passes(seed: int) -> None:
    found = checks_of(made_sweep(peak(0.6, noise=0.01), seed=seed))
    assert found["best epoch"].outcome is Outcome.PASS
    assert found["still improving at the end"].outcome is Outcome.PASS
