"""Sweeps and ablations of tasks with a loss of their own, from the command line to the report."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from sweeps import exit_codes
from tests.command import Command, in_this_process
from tests.fakes import rows, snapshot
from trainers.loop.training import Training

SWEEP = """\
kind: sweep
task: {task}
metric: {{name: {metric}, goal: {goal}}}
recipe: {{budget: {{epochs: 4, batch_size: 32}}, averaging: {{kind: ema, decay: 0.9}}, {more}}}
search: {{optimizer.lr: {{loguniform: [1e-3, 1e-1]}}, optimizer.weight_decay: {{uniform: [0.0, 0.1]}}}}
sampler: {{kind: random}}
early_stopping: {{kind: none}}
runs: 4
"""
ABLATION = """\
kind: ablation
question: Does a larger rate help?
task: {task}
recipe: {{budget: {{epochs: 2, batch_size: 32}}, {more}}}
arms:
  small: {{optimizer.lr: 0.001}}
  large: {{optimizer.lr: 0.03}}
pairs: 3
metrics: {{primary: {metric}, goal: {goal}}}
"""
TASKS = {
    "regression": ("tests.own_tasks:NoisyLine", "mae", "minimize", ""),
    "labels": ("tests.own_tasks:Labels", "exact", "maximize", ""),
    "characters": (
        "{characters: {file: text.txt, context: 8, windows: 90}}",
        "loss",
        "minimize",
        "model: {width: 16, depth: 1}",
    ),
}
EVERY = TASKS | {"loaded": ("tests.trainers.data.loaded_tasks:Noise", "nll", "minimize", "")}
CLASSES_ONLY = ("nll", "ece", "brier", "temperature")
TIMED = ("train/seconds", "train/samples_per_second")


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
    Path("text.txt").write_text("to be or not to be, that is the question. " * 20)
    return in_this_process(monkeypatch, capsys)


def write(text: str, name: str, **changes: str) -> str:
    task, metric, goal, more = EVERY[name]
    split = "val" if text is SWEEP else "test"
    parts = {"task": task, "metric": f"{split}/{metric}", "goal": goal, "more": more} | changes
    Path("file.yaml").write_text(text.format(**parts))
    return "file.yaml"


def recorded(url: str) -> set[str]:
    return {name for (name,) in rows(url, "SELECT DISTINCT name FROM epoch_metric")}


@pytest.mark.parametrize("name", TASKS)
def test_a_sweep_is_trained_reported_diagnosed_and_exported(sweeps: Command, name: str) -> None:
    answer = sweeps("run", write(SWEEP, name), "--local", "--name", "own", "--storage", "sqlite:///own.db")
    assert answer.code == exit_codes.DONE, answer.text
    found = recorded("sqlite:///own.db")
    metric = TASKS[name][1]
    assert {f"val/{metric}", f"test/{metric}", f"val/{metric}@ema", "train/loss", "val/loss", "test/loss"} <= found
    assert not [one for one in found for other in CLASSES_ONLY if other in one]
    assert rows("sqlite:///own.db", "SELECT count(*) FROM prediction") == [(0,)]
    for command in (("report", "own"), ("diagnose", "own", "0"), ("show", "own"), ("export", "own", "--to", "out")):
        answer = sweeps(*command, "--storage", "sqlite:///own.db")
        assert answer.code == exit_codes.DONE, answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", TASKS)
def test_an_ablation_is_reported_without_calibration(sweeps: Command, name: str) -> None:
    path = write(ABLATION, name)
    answer = sweeps("ablate", path, "--local", "--name", "own", "--storage", "sqlite:///own.db", "--to", "report")
    assert answer.code == exit_codes.DONE, answer.text
    report = json.loads(Path("report/report.json").read_text())
    assert report["calibration"] == []
    page = Path("report/report.md").read_text()
    assert "Calibration" not in page
    assert f"test/{TASKS[name][1]}" in page


@pytest.mark.parametrize("name", EVERY)
def test_an_interrupted_sweep_continues_bit_identically(
    sweeps: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write(SWEEP, name)
    assert sweeps("run", path, "--local", "--storage", "sqlite:///whole.db").code == exit_codes.DONE
    advance, calls = Training.advance, []

    def interrupted(self: Training, steps: int) -> object:
        calls.append(steps)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return advance(self, steps)

    monkeypatch.setattr(Training, "advance", interrupted)
    assert sweeps("run", path, "--local", "--storage", "sqlite:///parts.db").code == exit_codes.INTERRUPTED
    assert sweeps("run", path, "--local", "--storage", "sqlite:///parts.db").code == exit_codes.DONE
    whole, parts = (
        {key: value for key, (value, _) in snapshot(f"sqlite:///{of}.db").items() if key[2] not in TIMED}
        for of in ("whole", "parts")
    )
    assert parts == whole


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"metric": "val/mea"}, "metric.name: the task does not report val/mea in every epoch; did you mean val/mae"),
        ({"goal": "maximize"}, "metric.goal: must be minimize for val/mae, as the task declares, found maximize"),
        ({"more": "regularization: {mixup: 0.1}"}, "regularization.mixup mixes the classes of two examples"),
    ],
)
def test_a_wrong_space_is_refused_before_anything_starts(
    sweeps: Command, changes: dict[str, str], expected: str
) -> None:
    answer = sweeps("run", write(SWEEP, "regression", **changes), "--local", "--storage", "sqlite:///own.db")
    assert answer.code == exit_codes.USAGE
    assert expected in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_an_ablation_on_a_test_split_that_is_missing_is_refused(sweeps: Command) -> None:
    without = {"task": "{tests.own_tasks:Line: {test: false}}"}
    path = write(ABLATION, "regression", **without)
    answer = sweeps("ablate", path, "--local", "--storage", "sqlite:///own.db")
    assert answer.code == exit_codes.USAGE
    assert "test/mae needs a test split, and data(seed).test is None; return a test split, or compare" in answer.err
    path = write(ABLATION, "regression", metric="val/mae", **without)
    answer = sweeps("ablate", path, "--local", "--storage", "sqlite:///own.db", "--to", "report")
    assert answer.code == exit_codes.DONE, answer.text


def test_a_built_in_task_without_classes_is_refused_by_its_file(sweeps: Command) -> None:
    path = write(ABLATION, "characters", metric="test/nll")
    answer = sweeps("ablate", path, "--local", "--storage", "sqlite:///own.db")
    assert answer.code == exit_codes.USAGE
    assert "metrics.primary: the task does not report val/nll in every epoch; did you mean val/loss?" in answer.err
    path = write(SWEEP, "characters", more="regularization: {label_smoothing: 0.1}")
    answer = sweeps("run", path, "--local", "--storage", "sqlite:///own.db")
    assert answer.code == exit_codes.USAGE
    assert "label_smoothing: spreads probability over classes, but the task has no classes; remove it" in answer.err
