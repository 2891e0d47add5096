"""The commands before and after a sweep, and their errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search_spaces import load_space, parse_space
from tests.command import Command, in_this_process
from tests.fakes import run_sweep, space

BAD = """
kind: sweep
extends: finetune
recipe:
  optimizer: {kind: adam_l2, lr: 0.5, weight_decay: 0.1}
search:
  optimizer.betas.1: null
"""
WANDB = """
method: bayes
metric: {name: val_accuracy, goal: maximize}
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-1}
  dropout: {values: [0.0, 0.1, 0.2]}
"""


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capsys, 160)


# --- before a sweep ---------------------------------------------------------------------------------------------


def test_lint(sweeps: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    answer = sweeps("lint", "bad.yaml")
    assert answer.code == 1
    assert "ERROR adam-with-weight-decay" in answer.out
    assert "fix: " in answer.out
    answer = sweeps("lint", "finetune")
    assert (answer.code, answer.out) == (0, "finetune: no red flag\n")


def test_a_space_with_errors_is_not_run_unless_forced(sweeps: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    answer = sweeps("run", "bad.yaml", "--local", "--runs", "1")
    assert answer.code == 2
    assert "ERROR adam-with-weight-decay" in answer.err
    assert "--force" in answer.err
    assert not (tmp_path / "runs").exists()
    answer = sweeps("run", "bad.yaml", "--local", "--runs", "1", "--set", "budget.epochs=1", "--force")
    assert answer.code == 0
    from analysis.load import sweeps_frame

    [row] = sweeps_frame("sqlite:///runs/sweeps.db").to_dict("records")
    assert "adam-with-weight-decay" in row["provenance"]["forced"]


def test_recommend_writes_a_space_that_runs(sweeps: Command, tmp_path: Path) -> None:
    answer = sweeps("recommend", "--model", "rnn", "--data", "3000", "--to", "mine.yaml")
    assert answer.code == 0
    assert "next: sweeps lint mine.yaml" in answer.out
    assert load_space(str(tmp_path / "mine.yaml")).recipe.regularization.clip_norm is not None
    printed = sweeps("recommend", "--model", "rnn", "--data", "3000")
    assert printed.out == (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "gpt"), "--model must be one of cnn, transformer"),
        (("--model", "cnn", "--task", "fine"), "--task must be one of"),
        (("--model", "cnn", "--wish", "good"), "--wish must be one of"),
        ((), "--model must be one of"),
    ],
)
def test_recommend_names_the_valid_values(sweeps: Command, arguments: tuple[str, ...], words: str) -> None:
    answer = sweeps("recommend", *arguments)
    assert answer.code == 2
    assert words in answer.err


def test_import(sweeps: Command, tmp_path: Path) -> None:
    (tmp_path / "wandb.yaml").write_text(WANDB)
    answer = sweeps("import", "wandb.yaml")
    assert answer.code == 0
    spec = parse_space(answer.out, "imported.yaml", "imported")
    assert {"optimizer.lr", "regularization.dropout"} == set(spec.search)
    assert sweeps("import", "nothing.yaml").code == 2


def test_schema(sweeps: Command) -> None:
    answer = sweeps("schema")
    assert json.loads(answer.out)["$schema"].endswith("2020-12/schema")


def test_lr_find_draws_and_writes(sweeps: Command, tmp_path: Path) -> None:
    answer = sweeps("lr-find", "mnist1d_mlp", "--to", "out")
    assert answer.code == 0
    assert "optimizer.lr: {loguniform: [" in answer.out
    page = (tmp_path / "out" / "lr_find.html").read_text()
    assert "falls fastest at" in page
    assert "val, short training" in page
    assert 'showSendToCloud": false' in page or 'showSendToCloud":false' in page
    assert (tmp_path / "out" / "lr_find.csv").read_text().startswith("lr,loss,smoothed\n")


def test_lr_find_without_short_trainings(sweeps: Command, tmp_path: Path) -> None:
    answer = sweeps("lr-find", "mnist1d_mlp", "--quick", "--to", "out")
    assert answer.code == 0
    assert answer.out.startswith("a range test of 200 steps\n")
    assert "the steepest descent" in answer.out
    assert "val loss" not in answer.out
    assert "val, short training" not in (tmp_path / "out" / "lr_find.html").read_text()


# --- after a sweep ----------------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    run_sweep(space(runs=20), url, tmp_path / "c")
    return url


def test_apply(sweeps: Command, finished: str) -> None:
    answer = sweeps("apply", "toy", "--storage", finished)
    assert answer.code == 0
    spec = parse_space(answer.out, "best.yaml", "best")
    assert (spec.runs, spec.search) == (1, {})
    answer = sweeps("apply", "tyo", "--storage", finished)
    assert answer.code == 2
    assert "toy" in answer.err


def test_confirm_names_what_is_missing(sweeps: Command, finished: str) -> None:
    answer = sweeps("confirm", "tyo", "--storage", finished)
    assert answer.code == 2
    assert "toy" in answer.err


@pytest.mark.slow
@pytest.mark.parallel
def test_confirm_compares_the_finalists_on_fresh_seeds(sweeps: Command, tmp_path: Path) -> None:
    small = ("--set", "budget.epochs=3", "--local")
    assert sweeps("run", "finetune", "--runs", "4", *small).code == 0
    answer = sweeps("confirm", "finetune", "--top", "2", "--pairs", "3", "--local")
    assert answer.code == 0, answer.err
    assert "Holm" in answer.out
    assert (tmp_path / "reports" / "finetune-confirm" / "index.html").exists()
    again = sweeps("extend", "finetune", "--no-edge", "--runs", "3", "--local")
    assert again.code == 0, again.err
    assert "finetune-more" in again.out
