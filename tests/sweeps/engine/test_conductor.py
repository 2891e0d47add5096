from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces import (
    Asha,
    Choice,
    LeaseLostError,
    LogUniform,
    Metric,
    NoStopping,
    Recipe,
    Resources,
    Sampler,
    SpaceSpec,
    resolve,
    sobol_point,
)
from sweeps.engine.conductor import MAX_ATTEMPTS, MAX_ATTEMPTS_OF_MANY, USAGE_EVERY_S, Conductor
from sweeps.engine.failures import warnings
from sweeps.engine.live_run import LiveRun
from sweeps.engine.messages import Step
from sweeps.engine.outcome import judge
from sweeps.plan.asha import Rungs
from sweeps.run_state import RunState
from sweeps.store.database import connect
from sweeps.store.store import Store
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import (
    CurveRunner,
    CurveTraining,
    Death,
    DriverDiedError,
    MortalStore,
    Watch,
    analytic,
    broken_rules,
    conductor_of,
    rows,
    run_sweep,
    snapshot,
    space,
    states,
    take,
    unstable,
    writer_of,
)
from trainers.reports import EpochReport, Position
from trainers.usage import Usage

# --- whole sweeps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep(database_url: str, tmp_path: Path, seed: int) -> None:
    spec = space(runs=20)
    conductor = run_sweep(spec, database_url, tmp_path / "checkpoints", CurveRunner(seed=seed))
    assert broken_rules(database_url, spec) == []
    assert states(conductor)["STOPPED"] >= 8
    assert states(conductor)["COMPLETE"] >= 2
    assert conductor.runs[0].state is RunState.COMPLETE
    assert conductor.idle
    stored = rows(database_url, "SELECT number, state, epoch, value, seconds, attempts FROM run ORDER BY number")
    assert [tuple(row) for row in stored] == [
        (run.number, run.state.value, run.epoch, run.value, run.seconds, 1) for run in conductor.runs
    ]
    assert all(run.seconds == 0.5 * run.epoch for run in conductor.runs)
    assert all(row.finished_at for row in rows(database_url, "SELECT finished_at FROM run"))


def test_the_checker_of_these_tests_finds_what_is_wrong(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(runs=20)
    run_sweep(spec, sqlite_url, tmp_path / "checkpoints")
    for change in (
        "UPDATE run SET state = 'RUNNING' WHERE number = 3",
        "UPDATE run SET state = 'STOPPED' WHERE number = 0",
        "UPDATE epoch_metric SET value = 9 WHERE run_id = (SELECT id FROM run WHERE state = 'STOPPED' LIMIT 1)",
        "DELETE FROM epoch_metric WHERE epoch = 1 AND run_id = 2",
        "UPDATE run SET number = 99 WHERE number = 5",
        "UPDATE epoch_metric SET value = -9 WHERE seq IN (SELECT max(seq) FROM epoch_metric WHERE epoch=3)",
    ):
        engine = connect(sqlite_url)
        with engine.connect() as connection:
            transaction = connection.begin()
            connection.exec_driver_sql(change)
            transaction.commit()
        engine.dispose()
        assert broken_rules(sqlite_url, spec), change


def test_minimizing(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(metric=Metric(name="val/nll", goal="minimize"), runs=20)
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints")
    assert broken_rules(sqlite_url, spec) == []
    best = conductor.best()
    assert best is not None
    assert best.value == min(run.value for run in conductor.runs if run.state is RunState.COMPLETE)
    assert states(conductor)["STOPPED"] > 5


def test_the_baseline_is_never_stopped_however_bad(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(recipe=resolve(space().recipe, {"optimizer.lr": 1e-9}))
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints")
    assert (conductor.runs[0].state, conductor.runs[0].recipe) == (RunState.COMPLETE, spec.recipe)
    assert conductor.runs[0].value < min(run.value for run in conductor.runs[1:] if run.state is RunState.COMPLETE)
    assert broken_rules(sqlite_url, spec) == []


def test_without_early_stopping_every_run_is_complete(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(early_stopping=NoStopping()), sqlite_url, tmp_path / "checkpoints")
    assert states(conductor) == {"COMPLETE": 12}


@pytest.mark.parametrize("kind", ["tpe", "qmc"])
def test_adaptive_samplers_meet_the_conductor(sqlite_url: str, tmp_path: Path, kind: Any) -> None:
    spec = space(sampler=Sampler(kind=kind, startup=4), runs=14)
    run_sweep(spec, sqlite_url, tmp_path / "checkpoints")
    assert broken_rules(sqlite_url, spec) == []


def test_a_finished_sweep_hands_out_nothing_and_more_runs_extend_it(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(), sqlite_url, tmp_path / "checkpoints")
    before = snapshot(sqlite_url)
    runner = CurveRunner()
    conductor = run_sweep(space(), sqlite_url, tmp_path / "checkpoints", runner)
    assert (runner.steps, conductor.session_seconds, conductor.first_report_at) == (0, 0.0, None)
    assert snapshot(sqlite_url) == before
    conductor = run_sweep(space(runs=15), sqlite_url, tmp_path / "checkpoints")
    assert len(conductor.runs) == 15
    assert broken_rules(sqlite_url, space(runs=15)) == []
    assert before.items() <= snapshot(sqlite_url).items()


def test_two_sweeps_in_one_database_do_not_meet(sqlite_url: str, tmp_path: Path) -> None:
    first, second = space(name="first"), space(name="second", sampler=Sampler(kind="random", seed=5))
    run_sweep(first, sqlite_url, tmp_path / "first")
    before = snapshot(sqlite_url)
    run_sweep(second, sqlite_url, tmp_path / "second")
    assert before.items() <= snapshot(sqlite_url).items()
    assert broken_rules(sqlite_url, first) == broken_rules(sqlite_url, second) == []


# --- seeds and recipes ------------------------------------------------------------------------------------------


def test_runs_share_their_seed_and_a_repeated_recipe_gets_another(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(search={"optimizer.betas.1": Choice([0.95, 0.98])}, runs=8)
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints")
    seeds: dict[str, list[int]] = {}
    for run in conductor.runs:
        seeds.setdefault(run.recipe_hash, []).append(run.seed)
    assert len(seeds) <= 3
    first = {each[0] for each in seeds.values()}
    assert len(first) == 1
    for each in seeds.values():
        assert len(set(each)) == len(each)
    other = run_sweep(
        space(name="other", sampler=Sampler(kind="random", seed=1)), sqlite_url, tmp_path / "other", CurveRunner()
    )
    assert other.runs[0].seed not in first


def test_jobs_say_what_the_worker_needs(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(checkpoint_every_s=3.0, resources=Resources(cpu=5, processes=2))
    with Store(sqlite_url) as store:
        conductor = conductor_of(spec, store, tmp_path / "c", import_paths=("/home/ann",))
        job = conductor.next_job("trial-7")
        assert job is not None
        assert (job.number, job.task, job.rungs) == (0, "digits", (1, 3))
        assert (job.threads, job.processes) == (5, 2)
        assert (job.checkpoint_every_s, job.import_paths) == (3.0, ("/home/ann",))
        assert Path(job.directory) == tmp_path / "c" / "000000"
        assert Recipe.model_validate(job.recipe) == spec.recipe
    assert [tuple(row) for row in rows(sqlite_url, "SELECT state, ray_trial_id, attempts FROM run")] == [
        ("RUNNING", "trial-7", 1)
    ]


# --- what goes wrong in a run -----------------------------------------------------------------------------------


def test_a_run_that_diverges_ends_at_once(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(runs=30, early_stopping=NoStopping())
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(unstable))
    diverged = [run for run in conductor.runs if run.state is RunState.DIVERGED]
    assert len(diverged) >= 3
    for run in diverged:
        assert run.epoch == 3
        assert run.value == analytic(run.recipe, 3)["val/accuracy"]  # its last finite value
    assert states(conductor)["COMPLETE"] == 30 - len(diverged)
    assert broken_rules(sqlite_url, spec) == []


@pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf])
def test_only_what_is_no_finite_number_diverges(database_url: str, tmp_path: Path, last: float) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"val/accuracy": [1e308, -1.7e308, 5e-324, last][epoch - 1]}

    spec = space(runs=2, early_stopping=NoStopping())
    conductor = run_sweep(spec, database_url, tmp_path / "c", CurveRunner(curve), patience=5)
    assert [(run.state, run.epoch, run.value) for run in conductor.runs] == [(RunState.DIVERGED, 4, 5e-324)] * 2
    stored = rows(database_url, "SELECT value FROM epoch_metric WHERE run_id = 1 ORDER BY epoch")
    assert [value for (value,) in stored] == [1e308, -1.7e308, 5e-324, None if math.isnan(last) else last]
    assert rows(database_url, "SELECT state, value FROM run") == [("DIVERGED", 5e-324)] * 2


def test_an_error_with_letters_that_no_database_takes_is_recorded(database_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        raise ValueError("a zero \0 and half a letter \udc80")

    run_sweep(space(runs=1), database_url, tmp_path / "c", CurveRunner(curve))
    [(error,)] = rows(database_url, "SELECT error FROM run")
    assert error.endswith("a zero \\x00 and half a letter \\udc80\n")


def test_warnings_of_workers_are_kept_with_their_runs(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=3, early_stopping=NoStopping()), store, tmp_path / "c")
        for text in ("checkpoint not written: disk full", None, "checkpoint not written: disk full"):
            job = conductor.next_job()
            assert job is not None
            report = EpochReport(1, {"val/accuracy": 0.5}, 0.1)
            assert conductor.report(job.number, Step((report,), warning=text))
    assert warnings(conductor.runs) == ["checkpoint not written: disk full (run 0, ...)"]
    assert warnings(conductor.runs[:1]) == ["checkpoint not written: disk full (run 0)"]
    assert warnings([]) == []


def test_a_metric_that_is_no_number_keeps_the_last_one_that_was(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"val/accuracy": 0.4 if epoch == 1 else math.inf}

    conductor = run_sweep(space(runs=1), sqlite_url, tmp_path / "checkpoints", CurveRunner(curve))
    run = conductor.runs[0]
    assert (run.state, run.epoch, run.value) == (RunState.DIVERGED, 2, 0.4)
    assert conductor.best() is None


@pytest.mark.parametrize("seed", [1, 3])
def test_a_diverged_value_counts_at_its_rung_before_and_after_a_restart(
    sqlite_url: str, tmp_path: Path, seed: int
) -> None:
    # Its loss is no number, its accuracy is one and stands in the table: every driver has to see the same rung.
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        metrics = analytic(recipe, epoch)
        if recipe.optimizer.lr > 3e-3:
            metrics |= {"train/loss": math.nan, "val/accuracy": 0.1}
        return metrics

    spec = space(runs=25)
    with pytest.raises(DriverDiedError):
        run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(curve, seed=seed, die_after=20))
    run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(curve, seed=seed))
    assert broken_rules(sqlite_url, spec) == []


def test_a_failing_run_is_recorded_and_the_sweep_continues(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        if recipe.optimizer.lr > 1e-2 and epoch == 2:
            raise ZeroDivisionError("no data left")
        return analytic(recipe, epoch)

    conductor = run_sweep(space(early_stopping=NoStopping()), sqlite_url, tmp_path / "c", CurveRunner(curve))
    failed = [run for run in conductor.runs if run.state is RunState.FAILED]
    assert failed
    assert len(failed) + states(conductor)["COMPLETE"] == 12
    errors = rows(sqlite_url, "SELECT epoch, error FROM run WHERE state = 'FAILED'")
    assert len(errors) == len(failed)
    for epoch, error in errors:
        assert epoch == 1
        assert error.startswith("Traceback")
        assert "ZeroDivisionError: no data left" in error


def only(epochs: Sequence[int], metric: str = "val/accuracy") -> Callable[[Recipe, int], dict[str, float]]:
    """Return curves that report a metric in some epochs only."""

    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"train/loss": 0.5, **({metric: float(epoch)} if epoch in epochs else {})}

    return curve


@pytest.mark.parametrize("epochs", [(2, 4, 6, 8), (9,)])
def test_a_metric_of_some_epochs_is_enough_without_early_stopping(
    sqlite_url: str, tmp_path: Path, epochs: tuple[int, ...]
) -> None:
    spec = space(runs=2, early_stopping=NoStopping())
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(only(epochs)))
    assert [(run.state, run.epoch, run.value) for run in conductor.runs] == [(RunState.COMPLETE, 9, epochs[-1])] * 2
    assert conductor.runs[0].curve == {epoch: float(epoch) for epoch in epochs}


def test_a_metric_that_no_epoch_reports_fails_the_run_at_its_end(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(runs=1, early_stopping=NoStopping())
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(only(())))
    assert [(run.state, run.epoch) for run in conductor.runs] == [(RunState.FAILED, 9)]
    assert conductor.runs[0].error == "no epoch reported 'val/accuracy'; the run reported train/loss"


def test_a_task_without_the_metric_fails_at_its_first_epoch() -> None:
    step = Step((EpochReport(2, {"val/nll": 1.0}, 0.1),), reports_all=True)
    run = LiveRun(0, Recipe(), "", 0, RunState.RUNNING)
    outcome = judge(step, run, "val/f1", Rungs((), 3, "maximize"), draining=False)
    assert (outcome.state, outcome.error) == (RunState.FAILED, "epoch 2 reported no 'val/f1'; it reported val/nll")


def test_the_metric_may_be_missing_at_a_rung_if_an_epoch_need_not_report_it() -> None:
    run, rungs = LiveRun(1, Recipe(), "", 0, RunState.RUNNING), Rungs((3,), 3, "minimize", [(0, 3, 1.0)])
    reports = (EpochReport(3, {"train/loss": 1.0}, 0.1), EpochReport(4, {"val/loss": 2.0}, 0.1))
    outcome = judge(Step(reports[:1]), run, "val/loss", rungs, draining=False)
    assert (outcome.state, outcome.error) == (RunState.RUNNING, None)
    outcome = judge(Step(reports[1:]), run, "val/loss", rungs, draining=False)
    assert (outcome.state, outcome.value) == (RunState.STOPPED, 2.0)


def test_a_task_may_leave_out_the_metric_if_its_epochs_need_not_report_it() -> None:
    step = Step((EpochReport(2, {"val/nll": 1.0}, 0.1),), fingerprint={"weights": "1"})
    run = LiveRun(0, Recipe(), "", 0, RunState.RUNNING)
    assert judge(step, run, "val/f1", Rungs((), 3, "maximize"), draining=False).state is RunState.RUNNING


def test_the_warning_names_every_metric_that_was_no_number(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"val/accuracy": 0.5, "val/auc": math.nan if epoch == 2 else 0.5, "test/f1": math.nan}

    conductor = run_sweep(space(runs=1), sqlite_url, tmp_path / "checkpoints", CurveRunner(curve))
    assert conductor.runs[0].warning == (
        "test/f1, val/auc: not a finite number in some epochs (NaN is recorded as missing); the sweep optimizes "
        "val/accuracy"
    )


def test_another_metric_that_is_no_number_is_a_warning(sqlite_url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {"val/accuracy": 0.5, "val/auc": math.nan if epoch == 2 else 0.5}

    spec = space(runs=1, early_stopping=NoStopping())
    conductor = run_sweep(spec, sqlite_url, tmp_path / "checkpoints", CurveRunner(curve))
    assert (conductor.runs[0].state, conductor.runs[0].epoch) == (RunState.COMPLETE, 9)
    assert conductor.runs[0].warning == (
        "val/auc: not a finite number in some epochs (NaN is recorded as missing); the sweep optimizes val/accuracy"
    )
    stored = rows(sqlite_url, "SELECT value FROM epoch_metric WHERE name = 'val/auc' ORDER BY epoch")
    assert [value for (value,) in stored] == [0.5, None, *[0.5] * 7]


# --- workers that die -------------------------------------------------------------------------------------------


def test_a_lost_worker_puts_its_run_back(sqlite_url: str, tmp_path: Path) -> None:
    spec = space()
    conductor = run_sweep(spec, sqlite_url, tmp_path / "c", CurveRunner(kill={0: 1, 3: MAX_ATTEMPTS - 1}))
    assert broken_rules(sqlite_url, spec) == []
    assert states(conductor)["FAILED"] == 0
    attempts = dict(map(tuple, rows(sqlite_url, "SELECT number, attempts FROM run")))
    assert (attempts[0], attempts[1], attempts[3]) == (2, 1, MAX_ATTEMPTS)


def test_a_run_whose_workers_keep_dying_is_failed(sqlite_url: str, tmp_path: Path) -> None:
    spec = space()
    conductor = run_sweep(spec, sqlite_url, tmp_path / "c", CurveRunner(kill={2: 99}))
    run = conductor.runs[2]
    assert run.state is RunState.FAILED
    assert run.error == f"its worker died {MAX_ATTEMPTS} times without saving a further step; last: killed"
    assert broken_rules(sqlite_url, spec) == []
    assert rows(sqlite_url, "SELECT attempts, error FROM run WHERE number = 2") == [(MAX_ATTEMPTS, run.error)]


def test_deaths_between_which_something_was_done_do_not_add_up(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        rng = random.Random(0)
        for attempt in range(MAX_ATTEMPTS + 1):
            job = conductor.next_job()
            assert job is not None
            training = CurveTraining(job, analytic, longest_step=1)
            for _ in range(attempt + 1):  # without a checkpoint, a new epoch comes after those of before
                assert conductor.report(job.number, training.step(rng))
            conductor.lost(job.number, "killed")
        assert conductor.runs[0].state is RunState.INTERRUPTED
        for _ in range(MAX_ATTEMPTS - 1):
            job = conductor.next_job()
            assert job is not None
            conductor.lost(job.number, "killed")
        assert conductor.runs[0].state is RunState.FAILED


def deaths_until_failed(conductor: Conductor, *saved: Position) -> int:
    """Kill workers of run 0, each after it has reported a checkpoint, and return how many it took."""
    deaths = 0
    while (job := conductor.next_job()) is not None and conductor.runs[0].state is not RunState.FAILED:
        if job.number == 0:
            if saved:
                assert conductor.report(0, Step(saved=saved[min(deaths, len(saved) - 1)]))
            conductor.lost(0, "killed")
            deaths += 1
    assert conductor.runs[0].state is RunState.FAILED
    return deaths


def test_a_further_checkpoint_is_progress_and_the_same_one_is_none(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        further = [Position(0, step) for step in range(1, 8)]
        # The worker that first reports the last position is the first one that dies there.
        assert deaths_until_failed(conductor, *further) == len(further) + MAX_ATTEMPTS - 1
        assert conductor.runs[0].error == "its worker died 3 times without saving a further step; last: killed"


def test_a_checkpoint_before_the_furthest_one_is_no_progress(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        back = [Position(1, 5), Position(0, 9), Position(1, 0), Position(1, 5)]
        assert deaths_until_failed(conductor, *back) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("of_the_other", "dies", "limit"),
    [
        (Step(saved=Position(0, 3)), True, MAX_ATTEMPTS_OF_MANY),
        (Step(saved=Position(0, 3)), False, MAX_ATTEMPTS),
        (Step(), True, MAX_ATTEMPTS),  # neither can be trained: the task may be the cause
    ],
)
def test_deaths_of_other_runs_speak_for_the_machine(
    sqlite_url: str, tmp_path: Path, of_the_other: Step, dies: bool, limit: int
) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=2, early_stopping=NoStopping()), store, tmp_path / "c")
        for _ in range(2):
            conductor.next_job()
        assert conductor.report(1, of_the_other)
        conductor.put_back(0)
        if dies:
            conductor.lost(1, "killed")
        assert deaths_until_failed(conductor) == limit


def test_a_step_within_an_epoch_records_nothing_and_ends_when_drained(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        job = conductor.next_job()
        assert job is not None
        conductor._writer.write()
        before = rows(sqlite_url, "SELECT written FROM sweep")
        assert conductor.report(job.number, Step())
        conductor._writer.write()
        assert rows(sqlite_url, "SELECT written FROM sweep") == before
        conductor.drain()
        assert not conductor.report(job.number, Step())
        assert (conductor.runs[0].state, conductor.idle) == (RunState.INTERRUPTED, True)
        conductor._writer.write()
        assert rows(sqlite_url, "SELECT state FROM run") == [("INTERRUPTED",)]


def test_an_epoch_that_is_trained_again_takes_no_place_in_the_order(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        rng = random.Random(0)
        job = conductor.next_job()
        assert job is not None
        training = CurveTraining(job, analytic, longest_step=1)
        for _ in range(3):
            assert conductor.report(job.number, training.step(rng))
        conductor.lost(job.number, "killed")
        job = conductor.next_job()
        assert job is not None
        training = CurveTraining(job, analytic, longest_step=1)  # without a checkpoint, from the first epoch
        while conductor.report(job.number, training.step(rng)):
            pass
    order = [seq for (seq,) in rows(sqlite_url, "SELECT DISTINCT seq FROM epoch_metric ORDER BY epoch")]
    assert order == list(range(space().recipe.budget.epochs))


# --- stopping and going on --------------------------------------------------------------------------------------


def test_drain_interrupts_and_the_next_command_continues(database_url: str, tmp_path: Path) -> None:
    spec, folder = space(), tmp_path / "checkpoints"
    runner = CurveRunner(drain_after=9)
    conductor = run_sweep(spec, database_url, folder, runner)
    assert conductor.idle
    assert runner.steps <= 9 + runner.slots
    assert states(conductor)["INTERRUPTED"] >= 1
    assert states(conductor)["RUNNING"] == 0
    before = snapshot(database_url)
    ended = {run.number: run.state for run in conductor.runs if run.state.finished}
    conductor = run_sweep(spec, database_url, folder)
    assert broken_rules(database_url, spec) == []
    assert before.items() <= snapshot(database_url).items()
    assert all(conductor.runs[number].state is state for number, state in ended.items())


def test_close_leaves_no_run_running(sqlite_url: str, tmp_path: Path) -> None:
    seen: list[RunSnapshot] = []
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(), store, tmp_path / "c", listener=Watch(seen.append))
        conductor.next_job()
        conductor.close()
    assert rows(sqlite_url, "SELECT state FROM run") == [("INTERRUPTED",)]
    assert [view.state.value for view in seen] == ["RUNNING", "INTERRUPTED"]


def test_after_another_driver_took_over_nothing_is_written(sqlite_url: str, tmp_path: Path) -> None:
    spec = space()
    with Store(sqlite_url) as store:
        conductor = conductor_of(spec, store, tmp_path / "c")
        job = conductor.next_job()
        assert job is not None
        step = CurveTraining(job, analytic).step(random.Random(0))
        take(store, spec)
        with pytest.raises(LeaseLostError, match="another driver took sweep 'toy' over"):
            conductor.report(job.number, step)
        conductor.close()
    assert rows(sqlite_url, "SELECT state FROM run") == [("RUNNING",)]  # under the other driver
    assert snapshot(sqlite_url) == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_driver_may_die_between_any_two_steps(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    spec, folder = space(runs=15, sampler=Sampler(kind="random", seed=seed)), tmp_path / "checkpoints"
    rng = random.Random(seed)
    deaths, before = 0, {}
    while True:
        try:
            # Without `run_sweep`, which gives its runs back as a process that is killed does not.
            with Store(sqlite_url) as store:
                writer = writer_of(store, spec, folder, patience=rng.choice([0, 5, 50]))
                conductor = conductor_of(spec, store, folder, writer)
                CurveRunner(unstable, seed=rng.randrange(10**6), die_after=rng.randint(0, 15)).run(conductor)
                assert writer.flush()
            break
        except DriverDiedError:
            deaths += 1
            now = snapshot(sqlite_url)
            assert before.items() <= now.items()
            before = now
    assert deaths >= 2
    assert before.items() <= snapshot(sqlite_url).items()
    assert broken_rules(sqlite_url, spec) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_driver_may_die_around_any_record_and_any_transaction(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    spec, folder = space(runs=12, sampler=Sampler(kind="random", seed=seed)), tmp_path / "checkpoints"
    rng = random.Random(seed)
    before: dict[Any, Any] = {}
    deaths = 0
    while True:
        death = Death(rng.randint(1, 30), after=rng.random() < 0.5)
        try:
            with Store(sqlite_url) as store:
                mortal = MortalStore(store, death)
                writer = writer_of(mortal, spec, folder, death=death, patience=rng.choice([0, 3, 20]))
                conductor = conductor_of(spec, mortal, folder, writer)
                CurveRunner(unstable, seed=rng.randrange(10**6)).run(conductor)
                assert writer.flush()
            break
        except DriverDiedError:
            deaths += 1
            now = snapshot(sqlite_url)
            assert before.items() <= now.items()
            before = now
    assert deaths >= 3
    assert broken_rules(sqlite_url, spec) == []
    assert_only_the_best_is_kept(conductor, sqlite_url, folder)


def dies(spec: SpaceSpec, url: str, folder: Path, patience: int, after: int, seed: int = 0) -> Conductor:
    """A driver that is killed after some steps, the last records of which the database does not have."""
    with Store(url) as store:
        conductor = conductor_of(spec, store, folder, writer_of(store, spec, folder, patience=patience))
        with pytest.raises(DriverDiedError):
            CurveRunner(seed=seed, die_after=after).run(conductor)
    return conductor


def test_what_was_answered_is_never_trained_again(sqlite_url: str, tmp_path: Path) -> None:
    # The database takes nothing before the driver dies: the next one has every epoch from the journal.
    spec, folder = space(early_stopping=NoStopping()), tmp_path / "c"
    conductor = dies(spec, sqlite_url, folder, patience=10**6, after=12)
    answered = {run.number: dict(run.curve) for run in conductor.runs}
    assert sum(map(len, answered.values())) > 12
    assert snapshot(sqlite_url) == {}
    with Store(sqlite_url) as store:
        writer = writer_of(store, spec, folder)
        assert writer.replayed > 12
        again = conductor_of(spec, store, folder, writer)
        assert {run.number: dict(run.curve) for run in again.runs} == answered
        CurveRunner().run(again)
    assert broken_rules(sqlite_url, spec) == []


def test_records_of_a_driver_that_was_overtaken_are_void(sqlite_url: str, tmp_path: Path) -> None:
    # Its machine was cut off; another machine, with another journal, went on from the database and finished.
    spec, folder = space(), tmp_path / "c"
    dies(spec, sqlite_url, folder, patience=30, after=20)
    journal = folder.with_name("c.journal")
    kept = journal.read_bytes()
    journal.unlink()
    whole = run_sweep(spec, sqlite_url, folder, CurveRunner(seed=1))
    before = snapshot(sqlite_url)
    assert broken_rules(sqlite_url, spec) == []
    journal.write_bytes(kept)
    again = run_sweep(spec, sqlite_url, folder)
    assert snapshot(sqlite_url) == before
    assert [run.state for run in again.runs] == [run.state for run in whole.runs]


def test_checkpoints_ahead_of_the_records_are_not_used(sqlite_url: str, tmp_path: Path) -> None:
    # As after a power cut, or when a machine and its journal are gone: the epochs between would be missing for ever.
    spec, folder = space(early_stopping=NoStopping(), runs=4), tmp_path / "c"
    for seed in range(3):
        dies(spec, sqlite_url, folder, patience=8, after=6, seed=seed)
        folder.with_name("c.journal").unlink()
    run_sweep(spec, sqlite_url, folder)
    assert broken_rules(sqlite_url, spec) == []


def test_a_driver_that_dies_while_the_best_changes_hands(sqlite_url: str, tmp_path: Path) -> None:
    spec, folder = space(runs=6, early_stopping=NoStopping()), tmp_path / "checkpoints"
    moments = 0
    while True:  # dies around every record and every transaction of a short sweep in turn, before it and after it
        moments += 1
        url, here = f"{sqlite_url}{moments}", folder / str(moments)
        death = Death(moments + 50, after=moments % 2 == 0)
        try:
            with Store(url) as store:
                mortal = MortalStore(store, death)
                CurveRunner().run(conductor_of(spec, mortal, here, writer_of(mortal, spec, here, death=death)))
            break
        except DriverDiedError:
            conductor = run_sweep(spec, url, here)
            assert_only_the_best_is_kept(conductor, url, here)
    assert moments > 15


def test_continuing_gives_the_values_of_an_uninterrupted_sweep(sqlite_url: str, tmp_path: Path) -> None:
    # One worker, so that the order of the arrivals is the same.
    spec = space(sampler=Sampler(kind="tpe", startup=3), runs=14)
    whole = run_sweep(spec, sqlite_url, tmp_path / "whole", CurveRunner(slots=1))
    url = f"{sqlite_url}-parts"
    for _ in range(40):
        try:
            with Store(url) as store:
                conductor = conductor_of(spec, store, tmp_path / "parts")
                CurveRunner(slots=1, die_after=7).run(conductor)
            break
        except DriverDiedError:
            continue
    assert [(run.recipe, run.state, run.value) for run in conductor.runs] == [
        (run.recipe, run.state, run.value) for run in whole.runs
    ]


def test_interrupted_runs_go_first(sqlite_url: str, tmp_path: Path) -> None:
    run_sweep(space(), sqlite_url, tmp_path / "c", CurveRunner(drain_after=3))
    waiting = [number for (number,) in rows(sqlite_url, "SELECT number FROM run WHERE state = 'INTERRUPTED'")]
    assert waiting
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(), store, tmp_path / "c")
        assert [job.number for _ in waiting if (job := conductor.next_job())] == sorted(waiting)
        fresh = conductor.next_job()
        assert fresh is not None
        assert fresh.number == len(conductor.runs) - 1


# --- what is watched and what is kept ---------------------------------------------------------------------------


def test_everything_that_happens_is_watched(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(runs=10)
    latest: dict[int, RunSnapshot] = {}
    with Store(sqlite_url) as store:
        watch = Watch(lambda view: latest.update({view.number: view}))
        conductor = conductor_of(spec, store, tmp_path / "c", listener=watch)
        CurveRunner(unstable).run(conductor)
    for run in conductor.runs:
        view = latest[run.number]
        assert (view.state, view.value, view.seconds, view.seed) == (run.state, run.value, run.seconds, run.seed)
        assert dict(view.curve) == {epoch: unstable(run.recipe, epoch)["val/accuracy"] for epoch in view.curve}
        assert sorted(view.curve) == list(range(1, run.epoch + 1))
        assert sorted(view.values) == sorted(spec.search)


def assert_only_the_best_is_kept(conductor: Any, url: str, folder: Path) -> None:
    best = conductor.best()
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    kept = f"{best.number:06d}/final.ckpt"
    assert files == [kept]
    assert [path.name for path in folder.iterdir()] == [f"{best.number:06d}"]
    stored = rows(url, "SELECT number, checkpoint FROM run WHERE checkpoint IS NOT NULL")
    assert [tuple(row) for row in stored] == [(best.number, str(folder / kept))]


@pytest.mark.parametrize("seed", range(3))
def test_only_the_weights_of_the_best_complete_run_are_kept(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    conductor = run_sweep(space(runs=20), sqlite_url, tmp_path / "c", CurveRunner(seed=seed))
    assert_only_the_best_is_kept(conductor, sqlite_url, tmp_path / "c")


def test_interrupted_runs_keep_their_checkpoints(sqlite_url: str, tmp_path: Path) -> None:
    conductor = run_sweep(space(), sqlite_url, tmp_path / "c", CurveRunner(drain_after=12))
    waiting = {
        run.number
        for run in conductor.runs
        if run.state is RunState.INTERRUPTED and list((tmp_path / "c" / f"{run.number:06d}").glob("epoch-*"))
    }
    assert waiting
    kept = {int(path.name) for path in (tmp_path / "c").iterdir()}
    best = conductor.best()
    assert kept == waiting | ({best.number} if best else set())


def test_rungs_come_from_the_whole_budget(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(early_stopping=Asha(grace_epochs=2, reduction_factor=2), search={"optimizer.lr": LogUniform(1e-5, 1)})
    conductor = run_sweep(spec, sqlite_url, tmp_path / "c")
    assert conductor.rung_epochs == (2, 4, 8)
    assert {run.epoch for run in conductor.runs} <= {2, 4, 8, 9}
    assert broken_rules(sqlite_url, spec) == []


def test_the_qmc_sampler_takes_the_points_of_the_sequence(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(sampler=Sampler(kind="qmc", seed=3))
    conductor = run_sweep(spec, sqlite_url, tmp_path / "c")
    expected = [resolve(spec.recipe, sobol_point(spec.search, 3, index)) for index in range(11)]
    assert [run.recipe for run in conductor.runs[1:]] == expected


# --- what runs use ----------------------------------------------------------------------------------------------


def used(seconds: float) -> Step:
    return Step(usage=Usage("a CPU", 0.0, seconds, seconds, 1))


def test_what_a_run_uses_is_recorded_now_and_then_and_at_its_end(sqlite_url: str, tmp_path: Path) -> None:
    with Store(sqlite_url) as store:
        conductor = conductor_of(space(runs=1, early_stopping=NoStopping()), store, tmp_path / "c")
        recorded = []
        for seconds in (1.0, USAGE_EVERY_S, USAGE_EVERY_S + 1, 2 * USAGE_EVERY_S):
            assert conductor.runs == [] or conductor.runs[0].state is RunState.RUNNING
            if not conductor.runs:
                assert conductor.next_job() is not None
            assert conductor.report(0, used(seconds))
            recorded.append([row.seconds for row in rows(sqlite_url, "SELECT seconds FROM run_usage")])
        assert recorded == [[], [USAGE_EVERY_S], [USAGE_EVERY_S], [2 * USAGE_EVERY_S]]
        conductor.report(0, used(2 * USAGE_EVERY_S + 3))
        conductor.lost(0, "killed")  # what its worker had reported counts
        assert conductor.next_job() is not None
        conductor.report(0, replace(used(4.0), error="no"))
        stored = rows(sqlite_url, "SELECT attempt, seconds FROM run_usage ORDER BY attempt")
        assert [tuple(row) for row in stored] == [(1, 2 * USAGE_EVERY_S + 3), (2, 4.0)]
