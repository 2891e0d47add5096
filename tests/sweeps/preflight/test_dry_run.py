"""The estimated cost of a sweep; an estimate records nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from search_spaces import Asha, NoStopping, Resources, UsageError, load_space, parse_space
from sweeps.console.output import open_console
from sweeps.preflight.dry_run import dry_run, estimate
from tests.fakes import space


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
