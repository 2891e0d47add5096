"""The estimated cost of a sweep; an estimate records nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from search_spaces import Asha, Budget, NoStopping, Resources, UsageError, load_space, parse_space
from sweeps.console.output import open_console
from sweeps.preflight.dry_run import dry_run, estimate, unit_seconds
from tests.fakes import space
from trainers.command.metrics.reading import Reading
from trainers.command.observation import Observation


def test_the_cost_follows_the_rungs() -> None:
    spec = space(runs=27, early_stopping=Asha(grace_epochs=1, reduction_factor=3))  # 9 epochs: rungs at 1 and 3
    cost = estimate(spec, 0.5, 100, cores=4)
    assert cost.most_epochs == 27 * 9
    assert cost.likely_epochs == 27 * 1 + 9 * 2 + 3 * 6
    assert cost.slots == 4
    assert cost.seconds(cost.most_epochs) == pytest.approx(27 * 9 * 0.5 / 4)


def test_without_stopping_every_epoch_is_trained() -> None:
    cost = estimate(space(runs=5, early_stopping=NoStopping()), 1.0, 0, cores=2)
    assert cost.likely_epochs == cost.most_epochs == 45


def test_a_run_may_need_more_than_the_machine_has() -> None:
    assert estimate(space(resources=Resources(cpu=8)), 1.0, 0, cores=2).slots == 1
    assert estimate(space(runs=2), 1.0, 0, cores=64).slots == 2


def test_it_shows_the_space_and_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    spec = load_space("mnist1d_mlp", ("budget.epochs=2",))
    dry_run(spec, open_console(out, width=160))
    text, _, costs = out.getvalue().partition("\nruns    ")
    assert parse_space(text, "shown", spec.name) == spec
    assert f"{spec.runs} of up to 2 epochs" in costs
    assert "MiB per checkpoint" in costs
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_cannot_be_trained_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no_such_module"):
        dry_run(space(task="no_such_module:Task"), open_console(io.StringIO()))


COMMAND = """\
kind: sweep
task:
  command: [sh, -c, "i=1; while [ $i -le 4 ]; do echo step=$i val_loss=0.5; i=$((i+1)); done", "${args.code}"]
metric: {name: val_loss, goal: minimize}
args: {code: 0}
budget: {steps: 4}
early_stopping: {kind: none}
search: {args.code: {choice: [0, 3]}}
runs: 10
"""


def test_a_command_is_timed_by_a_start_of_its_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    dry_run(parse_space(COMMAND, "c.yaml", "c"), open_console(out, width=160))
    text, _, costs = out.getvalue().partition("\nruns    ")
    assert parse_space(text, "shown", "c").runs == 10
    assert costs.startswith("10 of up to 4 steps\nstart   the baseline ended after ")
    assert "it reported val/loss, first after" in costs
    assert "at most 40 steps" in costs
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_an_error_with_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = parse_space(COMMAND.replace("i=1;", "echo no such option; exit 2;"), "c.yaml", "c")
    with pytest.raises(UsageError, match=r"before its first metric; its last lines:\nno such option$"):
        dry_run(spec, open_console(io.StringIO()))


def test_the_time_per_step_is_that_between_two_reports() -> None:
    budget = Budget(steps=100)
    readings = tuple(Reading(step, "step", {"val/loss": 1.0}) for step in (10, 20, 40))
    stopped = Observation(readings, (5.0, 6.0, 8.0), 20.0, None, ())
    assert unit_seconds(stopped, budget) == pytest.approx(0.1)
    assert unit_seconds(Observation(readings[:1], (5.0,), 20.0, None, ()), budget) is None
    assert unit_seconds(Observation((), (), 20.0, 0, ()), budget) == pytest.approx(0.2)
