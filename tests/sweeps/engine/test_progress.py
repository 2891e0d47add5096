from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Budget, Metric, NoStopping, Recipe, Uniform
from search_spaces.specs.command_task import CommandTask
from sweeps.console.live_view import line
from sweeps.engine.progress import best_run, sweep_progress
from sweeps.run_state import RunState
from tests.fakes import space


@dataclass(frozen=True)
class Stand:
    number: int
    state: RunState
    epoch: int
    value: float | None


RUNS = [
    Stand(0, RunState.COMPLETE, 9, 0.6),
    Stand(1, RunState.STOPPED, 1, 0.9),
    Stand(2, RunState.COMPLETE, 9, 0.7),
    Stand(3, RunState.COMPLETE, 9, 0.7),
    Stand(4, RunState.STOPPED, 3, 0.5),
    Stand(5, RunState.DIVERGED, 1, None),
    Stand(6, RunState.RUNNING, 2, 0.8),
]


def test_the_numbers_of_a_sweep() -> None:
    now = sweep_progress(space(runs=12), RUNS, eta_s=5.0)
    assert now.states == {RunState.COMPLETE: 3, RunState.STOPPED: 2, RunState.DIVERGED: 1, RunState.RUNNING: 1}
    assert (now.finished, now.total, now.budget, now.eta_s) == (6, 12, 9, 5.0)
    assert now.best == (2, 0.7)  # complete, and the earlier one of two equal
    assert now.baseline == (0.6, 9)
    # Run 5 reached epoch 1 and diverged there; run 6 is beyond it.
    assert now.survivors == ((1, 7, 6), (3, 4, 3))
    assert now.epochs_spent == 9 + 1 + 9 + 9 + 3 + 1 + 2
    assert now.epochs_saved == 8 + 6


def test_minimizing() -> None:
    now = sweep_progress(space(metric=Metric(name="val/nll", goal="minimize")), RUNS)
    assert now.best == (0, 0.6)


def test_before_the_first_run() -> None:
    now = sweep_progress(space(runs=12), [])
    assert (now.best, now.baseline, now.finished, now.total, now.epochs_spent) == (None, None, 0, 12, 0)
    assert now.survivors == ((1, 0, 0), (3, 0, 0))


def test_a_baseline_that_has_no_value_yet() -> None:
    assert sweep_progress(space(), [Stand(0, RunState.RUNNING, 0, None)]).baseline is None


def test_without_rungs_nobody_survives_one() -> None:
    assert sweep_progress(space(early_stopping=NoStopping()), RUNS).survivors == ()


def test_a_command_counts_its_steps_and_may_be_stopped_between_two_rungs() -> None:
    spec = space(
        task=CommandTask(command=("train", "${args}")),
        recipe=Recipe(args={"lr": 0.1}, budget=Budget(steps=9)),
        search={"args.lr": Uniform(0.0, 1.0)},
        runs=2,
    )
    now = sweep_progress(spec, [Stand(0, RunState.STOPPED, 2, 0.5), Stand(1, RunState.STOPPED, 8, 0.6)])
    assert now.survivors == ((1, 2, 1), (3, 1, 0))
    assert now.unit == "step"
    assert "at step 2/9, 10 steps, 8 saved" in line(now)
    assert spec.fields_of(spec.recipe) == {"budget.steps": 9, "args.lr": 0.1}


def test_a_sweep_that_was_cut_back_still_counts_its_runs() -> None:
    assert sweep_progress(space(runs=3), RUNS).total == 7


def test_best_of_none() -> None:
    assert best_run([run for run in RUNS if run.state is not RunState.COMPLETE], "maximize") is None
    assert best_run([Stand(0, RunState.COMPLETE, 9, -0.0), Stand(1, RunState.COMPLETE, 9, 0.0)], "minimize") == Stand(
        0, RunState.COMPLETE, 9, 0.0
    )
