"""The table of an ablation, and that the conductor trains it to the same end whatever happens on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from search_spaces import (
    AblationSpec,
    Recipe,
    derive_seed,
    dump_ablation,
    lookup,
    parse_ablation,
    recipe_hash,
)
from sweeps.engine.conductor import Conductor
from sweeps.engine.messages import Job
from sweeps.engine.progress import ablation_progress
from sweeps.plan.ablation_plan import AblationPlan, AblationTable, Finals, look_points, tried_point, winners
from sweeps.run_state import RunState
from sweeps.store.lease import owner_name
from sweeps.store.store import Store
from tests.fakes import Curve, CurveRunner, DriverDiedError, PatchyWriter, rows
from trainers.storage.local import LocalFolder

MATCHED = """
kind: ablation
question: Does it help?
task: digits
recipe: {budget: {epochs: 3}}
search:
  optimizer.lr: {loguniform: [1e-4, 1e-1]}
  schedule.warmup: {uniform: [0.0, 0.3]}
arms:
  control: {}
  smooth: {regularization.label_smoothing: 0.1}
  both: {regularization.label_smoothing: 0.1, regularization.dropout: 0.1}
pairs: 4
metrics: {primary: test/nll, goal: minimize}
"""
RETUNED = f"{MATCHED}retune: {{runs: 3, over: [optimizer.lr]}}\n"


def spec_of(text: str = MATCHED, **changes: Any) -> AblationSpec:
    return parse_ablation(text, "f.yaml", "toy").model_copy(update=changes)


def never(finals: Finals, pairs: int) -> bool:
    return False


def by_job(job: Job) -> Curve:
    """A loss that depends on the seed, on the smoothing and on the learning rate; `test` comes with the last epoch."""
    noise = derive_seed(job.seed) / 2**63

    def curve(recipe: Recipe, epoch: int) -> Mapping[str, float]:
        loss = 1 + noise - recipe.regularization.label_smoothing + abs(math.log10(recipe.optimizer.lr) + 2)
        metrics = {"val/nll": loss + 1 / epoch}
        return metrics | {"test/nll": loss} if epoch == recipe.budget.epochs else metrics

    return curve


def run(
    spec: AblationSpec,
    url: str,
    folder: Path,
    decided: Callable[[Finals, int], bool] = never,
    runner: CurveRunner | None = None,
) -> Conductor:
    """One command's worth of an ablation."""
    with Store(url) as store:
        store.put_sweep(spec.name, "ablation", dump_ablation(spec), "test/nll", "minimize", 0, {})
        row = store.sweep(spec.name)
        assert row is not None
        plan = AblationPlan(spec, decided)
        owner = owner_name()
        fence = store.take_lease(row.id, owner, 3600, instead_of=row.lease_owner)
        assert fence is not None
        writer = PatchyWriter(store, fence, folder.with_name("toy.journal"), patience=10)
        conductor = Conductor(spec.space, store, row.id, writer, plan, LocalFolder(folder))
        try:
            (runner or CurveRunner(by_job=by_job)).run(conductor)
        finally:
            conductor.close()
        assert writer.flush()
        return conductor


def table_in(url: str) -> list[tuple[Any, ...]]:
    """Number, place, recipe, seed, state and final loss of every run, as the database has them."""
    query = (
        "SELECT run.number, design, pair, arm, recipe_hash, run.seed, state, epoch_metric.value FROM run "
        "LEFT JOIN epoch_metric ON run_id = run.id AND epoch_metric.name = 'test/nll' ORDER BY run.number"
    )
    return [tuple(row) for row in rows(url, query)]


# --- the table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [MATCHED, RETUNED])
def test_rows_and_numbers_are_inverse(text: str) -> None:
    table = AblationTable(spec_of(text))
    for number in range(table.until(4)):
        row = table.row(number)
        assert table.number(row.design, row.pair, row.arm) == number
    assert table.until(4) == (12 if text == MATCHED else 9 + 24)


def test_more_pairs_are_more_lines_at_the_end() -> None:
    few, many = AblationTable(spec_of(RETUNED)), AblationTable(spec_of(RETUNED, pairs=9))
    assert [few.row(n) for n in range(few.until(4))] == [many.row(n) for n in range(few.until(4))]


def test_an_arm_that_reads_another_training_has_its_number() -> None:
    text = MATCHED.replace("control: {}", "control: {averaging.kind: ema}").replace(
        "smooth: {regularization.label_smoothing: 0.1}", "smooth: {averaging.kind: ema, weights: ema}"
    )
    table = AblationTable(spec_of(text))
    assert table.arms == ("control", "both")
    assert table.number("matched", 2, "smooth") == table.number("matched", 2, "control")


def test_runs_of_a_pair_share_their_seed_and_nothing_else_does() -> None:
    plan = AblationPlan(spec_of(RETUNED), never)
    planned = [plan.propose(number) for number in range(9)]
    plan = AblationPlan(spec_of(RETUNED), never)
    planned += [plan.propose(number) for number in range(9, 33)]
    seeds: dict[tuple[str, int | None], set[int | None]] = {}
    for one in planned:
        key = ("tuning", 0) if one.design == "tuning" else (one.design, one.pair)
        seeds.setdefault(key, set()).add(one.seed)
    assert all(len(found) == 1 for found in seeds.values())
    every = [seed for found in seeds.values() for seed in found]
    assert len(every) == len(set(every)) == 9
    sweeps = {derive_seed("sweep", seed, repetition) for seed in range(20) for repetition in range(20)}
    assert not sweeps & set(every)


def test_an_arm_may_have_seeds_of_its_own() -> None:
    spec = spec_of(MATCHED.replace("both: {", "both: {seeds: own, "))
    plan = AblationPlan(spec, never)
    control, smooth, both = (plan.propose(number).seed for number in range(3))
    assert control == smooth != both


def test_tries_share_points_by_index_and_start_with_the_arms_own_recipe() -> None:
    spec = spec_of(RETUNED)
    plan = AblationPlan(spec, never)
    rates = [[plan.propose(index * 3 + arm).recipe.optimizer.lr for arm in range(3)] for index in range(3)]
    assert rates[0] == [1e-3] * 3
    assert all(len(set(row)) == 1 for row in rates)
    assert len({row[0] for row in rates}) == 3
    assert all(1e-4 <= row[0] <= 1e-1 for row in rates)


def test_a_try_that_comes_back_gets_another_seed() -> None:
    text = RETUNED.replace("{loguniform: [1e-4, 1e-1]}", "{choice: [1e-3]}")
    plan = AblationPlan(spec_of(text), never)
    same = [plan.propose(index * 3) for index in range(3)]
    assert len({recipe_hash(one.recipe) for one in same}) == 1
    assert len({one.seed for one in same}) == 3


def test_nuisance_points_differ_by_pair_and_not_by_arm() -> None:
    spec = spec_of(f"{MATCHED}nuisance: [schedule.warmup]\n")
    plan = AblationPlan(spec, never)
    warmups = [[plan.propose(pair * 3 + arm).recipe.schedule.warmup for arm in range(3)] for pair in range(4)]
    assert all(len(set(row)) == 1 for row in warmups)
    assert len({row[0] for row in warmups}) == 4
    assert plan.values(_begun(plan, 4))["schedule.warmup"] == warmups[1][0]


def _begun(plan: AblationPlan, number: int) -> Any:
    return plan.propose(number)


def test_winners_are_chosen_on_val_and_the_arms_own_weights() -> None:
    text = RETUNED.replace("control: {}", "control: {averaging.kind: ema, weights: ema}")
    spec = spec_of(text)
    finals = {
        0: {"val/nll": 9.0, "val/nll@ema": 3.0},
        3: {"val/nll": 1.0, "val/nll@ema": 2.0},
        6: {"val/nll": 0.0, "val/nll@ema": math.nan},
        1: {"val/nll": 1.0},
        4: {"val/nll": 1.0},  # of two equal ones the first
    }
    assert winners(spec, finals) == {"control": 1, "smooth": 0, "both": 0}


# --- trained ----------------------------------------------------------------------------------------------------


def test_an_ablation_is_trained(sqlite_url: str, tmp_path: Path) -> None:
    spec = spec_of(RETUNED)
    conductor = run(spec, sqlite_url, tmp_path)
    assert conductor.finished
    found = table_in(sqlite_url)
    assert len(found) == 33
    assert {row[6] for row in found} == {"COMPLETE"}
    best = winners(spec, {row[0]: {"val/nll": row[7]} for row in found if row[7] is not None})
    point = tried_point(spec, "smooth", best["smooth"])
    retuned = next(run for run in conductor.runs if (run.design, run.arm) == ("retuned", "smooth"))
    assert all(lookup(retuned.recipe, field) == value for field, value in point.items())
    assert point or best["smooth"] == 0
    now = ablation_progress(spec, conductor.runs)
    assert (now.pairs, now.total, now.best, now.baseline) == ((4, 4), 33, None, None)


@pytest.mark.parametrize("seed", range(8))
def test_a_driver_that_dies_ends_in_the_same_table(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    """At any step, several times, with workers that answer in another order each time."""
    spec = spec_of(RETUNED)
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    run(spec, whole, tmp_path / "whole")
    for attempt in range(40):
        try:
            runner = CurveRunner(by_job=by_job, seed=100 * seed + attempt, die_after=seed + 3 * attempt)
            run(spec, sqlite_url, tmp_path / "killed", runner=runner)
            break
        except DriverDiedError:
            continue
    assert attempt > 1
    assert table_in(sqlite_url) == table_in(whole)


def test_more_pairs_leave_the_first_ones_as_they_are(sqlite_url: str, tmp_path: Path) -> None:
    run(spec_of(), sqlite_url, tmp_path)
    before = table_in(sqlite_url)
    run(spec_of(pairs=6), sqlite_url, tmp_path)
    after = table_in(sqlite_url)
    assert len(after) == 18
    assert after[:12] == before


# --- looks ------------------------------------------------------------------------------------------------------


def test_look_points() -> None:
    assert list(look_points(spec_of())) == [4]
    assert list(look_points(spec_of(looks="e_process"))) == [2, 3, 4]
    assert list(look_points(spec_of(looks=(3, 4)))) == [3, 4]


@pytest.mark.parametrize("slots", [1, 4])
def test_a_look_ends_an_ablation(sqlite_url: str, tmp_path: Path, slots: int) -> None:
    spec = spec_of(looks=(3, 6, 9), pairs=9)
    asked: list[int] = []

    def decided(finals: Finals, pairs: int) -> bool:
        asked.append(pairs)
        assert set(range(3 * pairs)) <= set(finals)
        return pairs == 6

    conductor = run(spec, sqlite_url, tmp_path, decided, CurveRunner(by_job=by_job, slots=slots))
    assert asked == [3, 6]
    assert conductor.finished
    assert conductor.plan.total == len(table_in(sqlite_url)) == 18


def test_a_restart_comes_to_the_same_end(sqlite_url: str, tmp_path: Path) -> None:
    spec = spec_of(looks="e_process", pairs=9)
    run(spec, sqlite_url, tmp_path, lambda finals, pairs: pairs >= 4)
    before = table_in(sqlite_url)
    conductor = run(spec, sqlite_url, tmp_path, lambda finals, pairs: pairs >= 4)
    assert conductor.finished
    assert conductor.idle
    assert table_in(sqlite_url) == before
    assert len(before) == 12


def test_a_failed_run_does_not_hold_an_ablation_up(sqlite_url: str, tmp_path: Path) -> None:
    def fails(job: Job) -> Curve:
        def curve(recipe: Recipe, epoch: int) -> Mapping[str, float]:
            if job.number == 4:
                raise RuntimeError("no")
            return by_job(job)(recipe, epoch)

        return curve

    conductor = run(spec_of(RETUNED), sqlite_url, tmp_path, runner=CurveRunner(by_job=fails))
    assert conductor.finished
    assert conductor.runs[4].state is RunState.FAILED
    assert len(conductor.runs) == 33
