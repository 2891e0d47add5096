"""Next steps after a sweep: the winner as a space file, a follow-up sweep, and an ablation on fresh seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.export import best_recipe
from analysis.load import runs_of
from analysis.sweep.evidence import read_sweep
from analysis.sweep.new_ranges import suggested_ranges
from analysis.sweep.next_steps.follow_up import apply, confirm, extend
from search_spaces import (
    Asha,
    Choice,
    LogUniform,
    Metric,
    NoStopping,
    Recipe,
    Sampler,
    UsageError,
    dump_ablation,
    dump_space,
    parse_ablation,
    parse_space,
    resolve,
)
from search_spaces.search.distributions import contains
from sweeps.plan.ablation_plan import AblationPlan
from sweeps.run_state import RunState
from tests.analysis.made_sweeps import BETA, LR, made_sweep, peak, spec_of
from tests.fakes import run_sweep, space


def test_the_winner_as_a_space_file(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(), sqlite_url, tmp_path)
    evidence = read_sweep(sqlite_url, "toy")
    text = apply(evidence)
    again = parse_space(text, "best.yaml", "best")
    assert again.recipe == best_recipe(runs_of(sqlite_url, "toy"), space())
    assert (dict(again.search), again.runs, again.task, again.metric) == ({}, 1, "digits", space().metric)
    assert text.startswith(f"# Run {evidence.ranked[0].number} of toy: val/accuracy ")
    second = parse_space(apply(evidence, top=2), "best.yaml", "best")
    assert second.recipe == evidence.ranked[1].recipe


@pytest.mark.parametrize("top", [0, -1, 41])
def test_an_invalid_rank_is_refused(top: int) -> None:
    with pytest.raises(UsageError, match="40 complete runs"):
        apply(made_sweep(peak()), top=top)


def test_without_a_complete_run_there_is_no_next_step() -> None:
    evidence = made_sweep(peak(), states=dict.fromkeys(range(40), RunState.FAILED))
    for follow in (apply, extend, confirm):
        with pytest.raises(UsageError):
            follow(evidence)


# --- extend -----------------------------------------------------------------------------------------------------


def test_a_sweep_beyond_the_edge() -> None:
    evidence = made_sweep(peak(1.0))
    spec = extend(evidence)
    assert spec.search == {**evidence.spec.search, **suggested_ranges(evidence)}
    assert spec.search[LR] == LogUniform(2.2e-4, 2.2)
    assert (spec.name, spec.runs, spec.recipe, spec.metric) == ("toy-edge", 40, evidence.spec.recipe, space().metric)
    assert spec.sampler.seed != evidence.spec.sampler.seed
    assert parse_space(dump_space(spec), "f.yaml", spec.name) == spec
    assert extend(evidence) == spec


def test_it_starts_from_the_best_points() -> None:
    evidence = made_sweep(peak(1.0))
    spec = extend(evidence, runs=7, name="again")
    starts = spec.starts
    assert (spec.name, spec.runs) == ("again", 7)
    assert len(starts) == 3
    assert starts[0] == dict(evidence.ranked[0].values)
    for point in starts:
        assert all(contains(spec.search[field], value) for field, value in point.items())
        resolve(spec.recipe, point)


def test_stopped_runs_are_starting_points() -> None:
    evidence = made_sweep(peak(0.6), spec_of(early_stopping=Asha(grace_epochs=1, reduction_factor=3)))
    complete = [run for run in evidence.ranked if run.number]
    starts = extend(evidence, edge=False).starts
    assert len(starts) == 3
    assert len({str(point) for point in starts}) == 3
    assert starts[: len(complete)] == tuple(dict(run.values) for run in complete[:3])


def test_without_an_edge_there_is_nothing_to_extend() -> None:
    evidence = made_sweep(peak(0.6))
    with pytest.raises(UsageError, match="nothing to extend"):
        extend(evidence)
    spec = extend(evidence, edge=False)
    assert (spec.search, spec.name) == (evidence.spec.search, "toy-more")


def test_a_grid_has_no_more_runs_than_points() -> None:
    spec = spec_of(search={BETA: Choice([0.95, 0.98, 0.999])}, sampler=Sampler(kind="grid"), runs=3)

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 0.5

    assert extend(made_sweep(score, spec), edge=False, runs=50).runs == 4


def test_a_long_name_is_truncated() -> None:
    evidence = made_sweep(peak(1.0), spec_of(name="x" * 64))
    assert extend(evidence).name == "x" * 59 + "-edge"
    assert confirm(evidence).name == "x" * 56 + "-confirm"


# --- confirm ----------------------------------------------------------------------------------------------------


def test_the_finalists_against_the_baseline() -> None:
    evidence = made_sweep(peak(0.6))
    spec = confirm(evidence, top=2, pairs=5)
    first, second = (run.number for run in evidence.ranked[:2])
    assert list(spec.all_arms) == ["baseline", f"run {first}", f"run {second}"]
    assert spec.recipe("baseline") == evidence.spec.recipe
    for number in (first, second):
        assert spec.recipe(f"run {number}") == evidence.runs[number].recipe
    assert (spec.metrics.primary, spec.metrics.goal, spec.pairs) == ("test/accuracy", "maximize", 5)
    assert (spec.space.metric.name, spec.space.early_stopping) == ("val/accuracy", NoStopping())
    assert parse_ablation(dump_ablation(spec), "f.yaml", spec.name) == spec


def test_it_uses_no_seed_of_the_sweep() -> None:
    evidence = made_sweep(peak(0.6))
    spec = confirm(evidence, pairs=4)
    plan = AblationPlan(spec, lambda finals, pairs: False)
    seeds = {plan.propose(number).seed for number in range(plan.available)}
    assert None not in seeds
    assert len(seeds) == 4
    assert not seeds & {run.seed for run in evidence.runs}


def test_runs_that_were_stopped_follow_the_complete_ones() -> None:
    evidence = made_sweep(peak(0.6), spec_of(early_stopping=Asha(grace_epochs=1, reduction_factor=3), runs=15))
    complete = [run for run in evidence.ranked if run.number]
    spec = confirm(evidence, top=len(complete) + 1)
    *_, last = spec.all_arms.values()
    assert last.says is not None
    assert "stopped after epoch" in last.says


def test_averaged_weights_are_evaluated() -> None:
    spec = spec_of(task="mine:Task", metric=Metric(name="val/nll@ema", goal="minimize"))

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return 2.0 - peak(0.6)(places, share, rng)

    evidence = made_sweep(score, spec)
    tested = evidence.epochs.assign(name="test/nll@ema")
    found = confirm(replace(evidence, epochs=pd.concat([evidence.epochs, tested])))
    assert (found.metrics.primary, found.metrics.goal) == ("test/nll", "minimize")
    assert {arm.weights for arm in found.all_arms.values()} == {"ema"}
    without = confirm(evidence)  # no complete run has reported anything on test
    assert (without.metrics.primary, without.metrics.selection, without.metrics.secondary) == ("val/nll", "val/nll", ())
    assert {arm.weights for arm in without.all_arms.values()} == {"ema"}
    assert "The task has no test split, so val/nll@ema, which selected them, is compared again." in without.question


def test_a_new_kind_of_optimizer_has_all_settings() -> None:
    evidence = made_sweep(peak(0.6), spec_of(runs=9))
    best = evidence.ranked[0]
    recipe = resolve(best.recipe, {"optimizer.kind": "sgd", "optimizer.lr": 0.2, "optimizer.weight_decay": 0.01})
    runs = [replace(run, recipe=recipe, recipe_hash="sgd") if run is best else run for run in evidence.runs]
    found = confirm(replace(evidence, runs=tuple(runs)), top=1)
    assert found.recipe(f"run {best.number}") == recipe


def test_a_sweep_without_finalists_is_refused() -> None:
    evidence = made_sweep(peak(), states=dict.fromkeys(range(1, 40), RunState.FAILED))
    with pytest.raises(UsageError, match="nothing to confirm"):
        confirm(evidence)
    with pytest.raises(UsageError, match="nothing to confirm"):
        confirm(made_sweep(peak()), top=0)


def test_true_in_place_of_one_is_a_finalist() -> None:
    recipe = Recipe.model_validate({"custom": {"x": 1}})
    evidence = made_sweep(
        lambda places, share, rng: 0.5, spec_of(search={"custom.x": Choice([1, True])}, recipe=recipe)
    )
    spec = confirm(evidence, top=1)
    [arm] = (arm for name, arm in spec.arms.items() if name != "baseline")
    assert arm.settings == {"custom.x": True}
    assert arm.settings["custom.x"] is True
