"""Importance of the fields in sweeps with known effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pytest

from analysis.sweep.importance import Evaluator, rank_fields
from search_spaces import (
    Asha,
    Choice,
    Constant,
    Distribution,
    LogUniform,
    QUniform,
    RandInt,
    Recipe,
    Uniform,
    random_point,
)
from sweeps.run_state import RunState
from sweeps.study.importance import importances
from tests.analysis.made_sweeps import BETA, LR, WARMUP, WD, made_sweep, peak, spec_of

EVALUATORS: tuple[Evaluator, ...] = get_args(Evaluator)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_what_matters_comes_first(evaluator: Evaluator) -> None:
    found = rank_fields(made_sweep(peak(0.6)), evaluator, seed=0, repeats=10)
    first, *others = found.fields
    assert first.field == LR
    assert first.above_chance
    assert first.share > 0.5
    assert sum(one.share for one in found.fields) == pytest.approx(1.0)
    assert {one.field for one in found.fields} == {LR, WD, WARMUP, BETA}
    assert all(one.share < first.share / 2 for one in others)
    for one in found.fields:
        assert one.interval is not None
        assert 0.0 <= one.interval.low <= one.interval.high <= 1.0
    assert first.interval is not None
    assert first.interval.low > 0.3
    assert found.fidelity is not None
    assert (found.fidelity.epoch, found.evaluator) == (20, evaluator)
    assert evaluator in found.words
    assert "after epoch 20, which 40 of 40 runs reached" in found.words


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_noise_gives_no_field_more_than_chance(evaluator: Evaluator) -> None:
    """At most one of four fields in each of two sweeps; the chance level is that of the largest share."""
    for seed in range(2):
        evidence = made_sweep(lambda places, share, rng: float(rng.normal()), seed=seed)
        found = rank_fields(evidence, evaluator, seed=0, repeats=12)
        assert sum(one.above_chance for one in found.fields) <= 1
        assert len({one.chance for one in found.fields}) == 1


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_the_same_seed_gives_the_same_numbers(evaluator: Evaluator) -> None:
    evidence = made_sweep(peak(0.6), spec_of(runs=16))
    assert rank_fields(evidence, evaluator, 3, repeats=4) == rank_fields(evidence, evaluator, 3, repeats=4)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_stopped_runs_are_compared_at_their_rung(evaluator: Evaluator) -> None:
    """Their last values would make every stopped run look bad."""
    evidence = made_sweep(peak(0.6), spec_of(early_stopping=Asha(grace_epochs=2, reduction_factor=3)))
    found = rank_fields(evidence, evaluator, 0, repeats=2)
    assert found.fidelity is not None
    assert (found.fidelity.epoch, len(found.fidelity.scores)) == (2, 40)
    assert found.fields[0].field == LR


def test_a_diverged_run_counts_as_the_worst() -> None:
    """Runs differ only by divergence, at high learning rates."""

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return float("nan") if places[LR] > 0.7 else 0.8 + 0.001 * rng.normal()

    found = rank_fields(made_sweep(score), "fANOVA", 0, repeats=2)
    assert "diverged or failed before, counted as the worst" in found.words
    assert found.fidelity is not None
    assert found.fidelity.lost > 5


def test_constant_and_conditional_fields_are_left_out() -> None:
    from dataclasses import replace

    search: dict[str, Distribution] = {
        LR: LogUniform(1e-5, 1e-1),
        WD: Constant(0.01),
        WARMUP: Uniform(0.0, 0.3),
        BETA: Choice([0.95, 0.999]),
    }
    evidence = made_sweep(peak(0.6), spec_of(search=search))
    runs = tuple(
        replace(run, values={field: value for field, value in run.values.items() if field != BETA or run.number % 2})
        for run in evidence.runs
    )
    found = rank_fields(replace(evidence, runs=runs), "PED-ANOVA", 0, repeats=2)
    assert {one.field for one in found.fields} == {LR, WARMUP}
    assert found.left_out.keys() == {WD, BETA}
    assert "one value" in found.left_out[WD]
    assert "20 of 40 runs" in found.left_out[BETA]


def test_a_baseline_outside_of_the_ranges_is_left_out() -> None:
    inside = spec_of(search={LR: LogUniform(1e-2, 1e-1), WARMUP: Uniform(0.0, 0.3)})
    assert rank_fields(made_sweep(peak(0.6), inside), "PED-ANOVA", 0, repeats=2).fields


@pytest.mark.parametrize(("runs", "words"), [(4, "too few"), (20, "scores are equal"), (21, "fewer than two fields")])
def test_missing_importance_has_a_reason(runs: int, words: str) -> None:
    search: dict[str, Distribution] = {LR: LogUniform(1e-5, 1e-1), WARMUP: Uniform(0.0, 0.3)}
    spec = spec_of(runs=runs, search={LR: search[LR]} if runs == 21 else search)
    evidence = made_sweep(lambda places, share, rng: 0.5, spec)
    found = rank_fields(evidence, "fANOVA", 0, repeats=2)
    assert found.fields == ()
    assert words in found.words
    failed = made_sweep(peak(), spec_of(runs=20), states=dict.fromkeys(range(20), RunState.FAILED))
    assert rank_fields(failed, "fANOVA", 0, repeats=2).fields == ()


SEARCH: dict[str, Distribution] = {
    "a": LogUniform(1e-6, 1e-1),
    "b": Uniform(0.0, 1.0),
    "c": RandInt(1, 8),
    "d": QUniform(0.0, 1.0, 0.25),
    "e": Choice([None, 1, (1, 2)]),
}


@pytest.mark.parametrize("evaluator", ["fANOVA", "PED-ANOVA"])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("field", SEARCH)
def test_every_kind_of_field_can_matter(
    evaluator: Literal["fANOVA", "PED-ANOVA"], goal: Literal["maximize", "minimize"], field: str
) -> None:
    """The score rises with the field on its own scale, for a log range also in its first decades."""
    points = [random_point(SEARCH, 7, number) for number in range(60)]
    grid = SEARCH[field].edges() if field == "e" else ()

    def scale(value: object) -> float:
        if field == "e":
            return float(list(grid).index(value))  # type: ignore[arg-type]
        assert isinstance(value, int | float)
        return float(np.log(value)) if field == "a" else float(value)

    scores = [scale(point[field]) for point in points]
    found = importances(evaluator, SEARCH, points, scores, goal, trees=16)
    assert max(found, key=lambda name: found[name]) == field
    assert sum(found.values()) == pytest.approx(1.0)
    assert importances(evaluator, SEARCH, points, scores, goal, trees=16) == found


def test_a_log_range_is_evaluated_by_its_logarithm() -> None:
    """A step in the middle of five decades, which is in the first thousandth of the range on a linear scale."""
    search: dict[str, Distribution] = {"a": SEARCH["a"], "b": SEARCH["b"]}
    points = [random_point(search, 1, number) for number in range(60)]
    scores = [float(point["a"] > 3e-4) + 0.5 * float(point["b"]) for point in points]  # type: ignore[arg-type, operator]
    found = importances("fANOVA", search, points, scores, "maximize")
    assert found["a"] > 0.8  # variances 1/4 and 1/48


def test_equal_scores_give_no_importance() -> None:
    points = [random_point(SEARCH, 0, number) for number in range(5)]
    assert importances("fANOVA", SEARCH, points, [0.5] * 5, "maximize") == {}
    assert importances("PED-ANOVA", SEARCH, points, [0.5, 0.5, 0.5, 0.5, 0.4], "maximize", best=0.9) == {}


def test_true_and_one_are_two_values() -> None:
    search: dict[str, Distribution] = {"custom.x": Choice([1, True]), LR: LogUniform(1e-5, 1e-1)}
    recipe = Recipe.model_validate({"custom": {"x": 1}})
    evidence = made_sweep(lambda places, share, rng: rng.normal(), spec_of(search=search, recipe=recipe))
    found = rank_fields(evidence, "PED-ANOVA", 0, repeats=2)
    assert {one.field for one in found.fields} == {LR, "custom.x"}
    points = [{"custom.x": value, LR: 1e-3 + number * 1e-4} for number, value in enumerate([1, True] * 20)]
    scores = [float(point["custom.x"] is True) for point in points]
    shares = importances("fANOVA", search, points, scores, "maximize", trees=16)
    assert shares["custom.x"] > 0.9
