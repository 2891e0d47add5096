"""What follows a sweep of a command: confirm, extend, apply, export, ablate --from, and what a command has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import load_space, parse_ablation
from tests.command import Command, in_this_process

# The loss is least at the largest rate, so the best value is at an edge.
PROGRAM = """\
awk -v lr="$1" -v decay="$2" -v seed="$3" 'BEGIN {
  other = (decay - 0.3) ^ 2 + seed % 100 / 1e4
  for (step = 1; step <= 3; step++) print "step=" step " val_loss=" (1 - 5 * lr) / step + other
}'
"""
SPACE = """\
kind: sweep
task: {command: [sh, program.sh, "${args.lr}", "${args.weight-decay}", "${seed}"]}
metric: {name: val_loss, goal: minimize}
args: {lr: 0.01, weight-decay: 0.5}
budget: {steps: 3}
search:
  args.lr: {uniform: [0, 0.1]}
  args.weight-decay: {uniform: [0, 1]}
sampler: {kind: random}
starts: [{args.lr: 0.1, args.weight-decay: 0.3}]
early_stopping: {kind: none}
runs: 16
"""


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.sh").write_text(PROGRAM)
    (tmp_path / "mine.yaml").write_text(SPACE)
    return in_this_process(monkeypatch, capsys, 160)


def test_what_follows_a_sweep_of_a_command(sweeps: Command, tmp_path: Path) -> None:
    answer = sweeps("run", "mine.yaml", "--local")
    assert answer.code == 0, answer.text

    applied = sweeps("apply", "mine")
    (tmp_path / "best.yaml").write_text(applied.out)
    best = load_space("best.yaml")
    assert "args: {" in applied.out
    assert best.command == load_space("mine.yaml").command
    assert best.recipe.args["lr"] != 0.01

    assert sweeps("export", "mine", "--to", "out").code == 0
    assert load_space("out/space.yaml", name="mine") == load_space("mine.yaml")
    assert load_space("out/best.yaml").recipe == best.recipe
    assert "args.weight-decay" in (tmp_path / "out" / "runs.csv").read_text().splitlines()[0]

    confirmed = sweeps("confirm", "mine", "--top", "1", "--pairs", "3", "--local")
    assert confirmed.code == 0, confirmed.text
    spec = parse_ablation((tmp_path / "reports" / "mine-confirm" / "ablation.yaml").read_text(), "a", "a")
    assert spec.metrics.primary == "val/loss"
    assert "The program reports no test/loss, so val/loss, which selected them, is compared again" in spec.question

    toggled = sweeps("ablate", "--from", "best:mine", "--pairs", "2", "--local")
    assert toggled.code == 0, toggled.text
    spec = parse_ablation((tmp_path / "reports" / "mine-toggles" / "ablation.yaml").read_text(), "a", "a")
    assert list(spec.arms) == ["winner", "without args.lr", "without args.weight-decay"]

    extended = sweeps("extend", "mine", "--edge", "--runs", "3", "--local")
    assert extended.code == 0, extended.text
    assert "mine-edge" in sweeps("list").out


def test_confirm_uses_the_test_metric_of_a_program_that_has_one(sweeps: Command, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text(PROGRAM + 'echo "test_loss=$1"\n')
    assert sweeps("run", "mine.yaml", "--local", "--runs", "3").code == 0
    assert sweeps("confirm", "mine", "--top", "1", "--pairs", "2", "--local").code == 0
    spec = parse_ablation((tmp_path / "reports" / "mine-confirm" / "ablation.yaml").read_text(), "a", "a")
    assert (spec.metrics.primary, spec.metrics.selection) == ("test/loss", "val/loss")
    assert spec.question.endswith("on fresh seeds?")


def test_lr_find_of_a_command_says_what_to_do_instead(sweeps: Command) -> None:
    answer = sweeps("lr-find", "mine.yaml")
    assert answer.code == 2
    [line] = answer.err.splitlines()
    assert "search" in line


def test_check_and_the_start_of_a_sweep_try_the_arguments(sweeps: Command, tmp_path: Path) -> None:
    answer = sweeps("check", "mine.yaml", "--limit", "50")
    assert answer.code == 0
    assert "args.weight-decay: " in answer.out
    assert "3 PASS, 0 WARN, 0 FAIL" in answer.out
    (tmp_path / "program.sh").write_text("echo step=1 val_loss=0.5; echo start >> starts.txt")
    answer = sweeps("run", "mine.yaml", "--local", "--runs", "2")
    assert "warning: args.lr: " in answer.out
    assert len((tmp_path / "starts.txt").read_text().splitlines()) == 4 + 2
    answer = sweeps("run", "mine.yaml", "--local", "--runs", "3")  # it has runs
    assert "warning: " not in answer.out
    answer = sweeps("run", "mine.yaml", "--local", "--runs", "1", "--name", "other", "--no-probe")
    assert "warning: " not in answer.out


def test_a_program_that_refuses_an_argument_is_an_error_before_the_first_run(sweeps: Command, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text("echo 'error: unrecognized arguments: --lr' >&2; exit 2")
    answer = sweeps("run", "mine.yaml", "--local")
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == "error: unrecognized arguments: --lr"
