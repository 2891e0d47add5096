"""Sweeps and ablations whose budget counts steps, of a built-in task and of a training loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.command import Command, in_this_process

SWEEP = """\
kind: sweep
task: digits
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 0.003}
  budget: {steps: 30, report_every: 5}
search:
  optimizer.lr: {loguniform: [0.00001, 0.1]}
early_stopping: {kind: asha, grace_steps: 10}
runs: 4
"""
ABLATION = """\
kind: ablation
question: Does a schedule help?
task: digits
recipe:
  optimizer: {kind: adamw, lr: 0.003}
  budget: {steps: 10, report_every: 5}
arms:
  cosine: {}
  constant: {schedule.kind: constant}
metrics: {primary: test/nll, goal: minimize}
pairs: 3
"""
LOOP = """\
def train(config, seed, state=None):
    budget = config["budget"]
    for step in range(1, budget["steps"] + 1):
        if step % budget["report_every"] == 0 or step == budget["steps"]:
            yield {"step": step, "val/loss": config["optimizer"]["lr"] / step}
"""
LOOP_SWEEP = """\
kind: sweep
task: steploop:train
metric: {name: val/loss, goal: minimize}
recipe: {budget: {steps: 100, report_every: 7}}
search:
  optimizer.lr: {loguniform: [0.00001, 0.1]}
early_stopping: {kind: asha, grace_steps: 10}
runs: 6
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in (("s.yaml", SWEEP), ("a.yaml", ABLATION), ("l.yaml", LOOP_SWEEP), ("steploop.py", LOOP)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_this_process(monkeypatch, capsys)


def curves(folder: Path, metric: str) -> dict[int, tuple[str, list[int]]]:
    """Return run number -> state and the steps with a value of a metric."""
    engine = create_engine(f"sqlite:///{folder}/runs/sweeps.db")
    query = (
        "SELECT number, state, epoch_metric.epoch FROM epoch_metric JOIN run ON run.id = run_id"
        f" WHERE name = '{metric}' ORDER BY 1, 3"
    )
    found: dict[int, tuple[str, list[int]]] = {}
    with engine.connect() as connection:
        for number, state, step in connection.execute(text(query)):
            found.setdefault(number, (state, []))[1].append(step)
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.parallel
def test_a_sweep_stops_its_runs_at_steps(folder: Path, call: Command) -> None:
    answer = call("run", "s.yaml", "--local")
    assert answer.code == 0, answer.text
    assert "up to 30 steps each" in answer.text
    found = curves(folder, "val/accuracy")
    assert len(found) == 4
    assert found[0] == ("COMPLETE", [5, 10, 15, 20, 25, 30])
    stopped = [steps for state, steps in found.values() if state == "STOPPED"]
    assert stopped
    assert all(steps in ([5, 10],) for steps in stopped)  # the only rung: the next one would be the end
    answer = call("show", "s", "0")
    assert answer.code == 0, answer.text
    assert "complete at step 30" in answer.text


@pytest.mark.slow
@pytest.mark.parallel
def test_an_ablation_compares_after_steps(folder: Path, call: Command) -> None:
    answer = call("ablate", "a.yaml", "--local")
    assert answer.code == 0, answer.text
    found = curves(folder, "val/nll")
    assert [steps for _, steps in found.values()] == [[5, 10]] * 6
    assert "up to 10 steps each" in answer.text


@pytest.mark.slow
@pytest.mark.parallel
def test_a_loop_is_compared_at_its_next_report_after_a_rung(folder: Path, call: Command) -> None:
    answer = call("run", "l.yaml", "--local")
    assert answer.code == 0, answer.text
    found = curves(folder, "val/loss")
    assert found[0][1] == [*range(7, 99, 7), 100]
    stopped = [steps[-1] for state, steps in found.values() if state == "STOPPED"]
    assert stopped
    assert set(stopped) <= {14, 35, 91}  # rungs 10, 30 and 90


@pytest.mark.slow
@pytest.mark.parallel
def test_what_precedes_and_follows_a_sweep_counts_steps(folder: Path, call: Command) -> None:
    for command in (("lint", "s.yaml"), ("lr-find", "s.yaml"), ("run", "s.yaml", "--local")):
        answer = call(*command)
        assert answer.code == 0, answer.text
        assert "epoch" not in answer.out.replace("epochs per", "")
    for command in (("extend", "s", "--no-edge", "--runs", "2"), ("confirm", "s", "--top", "1", "--pairs", "2")):
        answer = call(*command, "--local")
        assert answer.code == 0, answer.text
        assert "up to 30 steps each" in answer.text
    for follower in ("s-more", "s-confirm"):
        answer = call("show", follower, "0")
        assert answer.code == 0, answer.text
        assert "complete at step 30" in answer.text
