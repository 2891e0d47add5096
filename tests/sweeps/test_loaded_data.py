"""A task whose data two workers load, through a sweep and an ablation in one process, and after an interruption."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from sweeps.engine.messages import Job
from sweeps.runners.worker import Worker
from tests.command import in_this_process

TASK = "tests.trainers.data.loaded_tasks:Noise"

SPACE = f"""
kind: sweep
task: {TASK}
metric: {{name: val/nll, goal: minimize}}
recipe: {{budget: {{epochs: 2, batch_size: 16}}}}
search: {{optimizer.lr: {{loguniform: [1e-3, 1e-1]}}}}
runs: 2
"""

ABLATION = f"""
kind: ablation
task: {TASK}
recipe: {{budget: {{epochs: 2, batch_size: 16}}}}
question: Does dropout help?
arms:
  none: {{regularization.dropout: 0.0}}
  some: {{regularization.dropout: 0.2, says: dropout of 0.2}}
pairs: 2
metrics: {{primary: test/nll, goal: minimize, margin: 0.02}}
"""


def losses(storage: str) -> list[float]:
    engine = create_engine(storage)
    try:
        with engine.connect() as connection:
            query = "SELECT value FROM epoch_metric WHERE name = 'train/loss' ORDER BY run_id, epoch"
            return [float(value) for (value,) in connection.execute(text(query))]
    finally:
        engine.dispose()


def test_a_sweep_and_an_ablation_complete_and_leave_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loaded.yaml").write_text(SPACE)
    (tmp_path / "dropout.yaml").write_text(ABLATION)
    call = in_this_process(monkeypatch, capsys)
    before = set(psutil.Process().children(recursive=True))
    done = call("run", "loaded.yaml", "--local")
    assert done.code == 0, done.text
    assert "2 of 2" in done.out
    assert len(losses(f"sqlite:///{tmp_path}/runs/sweeps.db")) == 4
    done = call("ablate", "dropout.yaml", "--local")
    assert done.code == 0, done.text
    assert "failed" not in done.out
    assert set(psutil.Process().children(recursive=True)) <= before


def job(directory: Path, workers: int) -> Job:
    recipe = {"budget": {"epochs": 1, "batch_size": 2}}
    return Job(0, f"{TASK}?workers={workers}", recipe, 3, (), str(directory), 0.0, 1, 0)


def report(worker: Worker) -> dict[str, float]:
    """Return the metrics of the epoch that a worker completes, without those that measure time."""
    while not (step := worker.step()).reports:
        assert step.error is None
    return {name: value for name, value in step.reports[0].metrics.items() if "second" not in name}


def test_a_run_that_continues_within_an_epoch_reports_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first, second = Worker(), Worker(), Worker()
    whole.start(job(tmp_path / "whole", 0))
    expected = report(whole)
    monkeypatch.setattr("sweeps.runners.worker.SLICE_S", 0.0)  # a step of training per call
    first.start(job(tmp_path / "killed", 2))
    while not first.step().saved.step:
        pass
    second.start(job(tmp_path / "killed", 2))
    assert report(second) == expected
    for worker in (whole, first, second):
        worker.close()
