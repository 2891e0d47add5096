"""Whether arguments of a command take effect, by short starts of real programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import SpaceSpec, UsageError, parse_space
from sweeps.preflight.command_check import check_before_runs, command_checks
from sweeps.preflight.effects import different, enough, probes
from trainers.check import Outcome
from trainers.command.metrics.reading import Reading

# The momentum is read but not used; the time differs by chance.
PROGRAM = """\
[ "$1" = 0.01 ] || [ "$1" = 0.75 ] || { echo "error: unrecognized arguments: $1" >&2; exit 2; }
for step in 1 2 3 4 5 6 7 8 9; do echo "step=$step loss=$(awk "BEGIN { print $step * $1 }") id=$$"; done
sleep 60
"""
SPACE = """\
kind: sweep
task: {command: [sh, program.sh, "${args.lr}", "${args.momentum}"], grace_s: 0.1}
metric: {name: val_loss, goal: minimize}
args: {lr: 0.01, momentum: 0.9}
budget: {steps: 9}
search:
  args.lr: {uniform: [0, 1]}
  args.momentum: {choice: [0.9, 0.99]}
runs: 9
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpaceSpec:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.sh").write_text(PROGRAM)
    return parse_space(SPACE, "s.yaml", "s")


def test_an_argument_that_changes_nothing_is_a_warning_with_its_name(spec: SpaceSpec, tmp_path: Path) -> None:
    metrics, rate, momentum = command_checks(spec, 60)
    assert (metrics.outcome, rate.outcome, momentum.outcome) == (Outcome.PASS, Outcome.PASS, Outcome.WARN)
    assert (rate.name, rate.evidence) == ("args.lr", "0.75 changes train/loss")
    assert (momentum.name, momentum.evidence) == (
        "args.momentum",
        "0.99 changes nothing in the first values of train/loss",
    )
    assert [one.name for one in tmp_path.iterdir()] == ["program.sh"]


def test_before_the_first_run_only_the_warnings_are_said(spec: SpaceSpec) -> None:
    said: list[str] = []
    check_before_runs(spec, said.append)
    [line] = said
    assert line.startswith("warning: args.momentum: 0.99 changes nothing")


def test_a_program_that_fails_is_quoted(spec: SpaceSpec, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text("echo 'train.py: error: unrecognized arguments: --lr' >&2; exit 2")
    with pytest.raises(UsageError, match=r"before its first metric; its last lines:\ntrain.py: error: unrecognized"):
        list(command_checks(spec, 60))


def test_a_value_with_which_it_fails_is_a_failed_check(spec: SpaceSpec, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text(PROGRAM.replace("0.75", "0.5"))
    rate = list(command_checks(spec, 60))[1]
    assert rate.outcome is Outcome.FAIL
    assert "unrecognized arguments: 0.75" in rate.evidence


def test_a_slow_program_is_not_checked(spec: SpaceSpec, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text("sleep 60")
    [metrics] = command_checks(spec, 0.2)
    assert (metrics.name, metrics.outcome) == ("metrics", Outcome.WARN)
    (tmp_path / "program.sh").write_text(PROGRAM)
    arguments = list(command_checks(spec, 60, total_s=0))[-1]
    assert (arguments.name, arguments.outcome) == ("arguments", Outcome.WARN)


def test_a_program_without_a_seed_shows_no_effects(spec: SpaceSpec, tmp_path: Path) -> None:
    (tmp_path / "program.sh").write_text("echo step=1 loss=$$")
    arguments = list(command_checks(spec, 60))[-1]
    assert arguments.name == "arguments"
    assert "different values of every metric" in arguments.evidence


def test_each_searched_argument_gets_another_value(spec: SpaceSpec) -> None:
    assert [(one.field, one.value) for one in probes(spec)] == [("args.lr", 0.75), ("args.momentum", 0.99)]
    text = SPACE.replace("choice: [0.9, 0.99]", "constant: 0.9")
    assert [one.field for one in probes(parse_space(text, "s.yaml", "s"))] == ["args.lr"]


def test_the_readings_that_both_have_are_compared() -> None:
    def made(*losses: float) -> list[Reading]:
        return [Reading(step, "step", {"a": loss, "b": float("nan")}) for step, loss in enumerate(losses)]

    assert different(made(1, 2, 3), made(1, 2)) == set()
    assert different(made(1, 2, 3), made(1, 4)) == {"a"}
    assert different(made(1, 2, 3, 4), made(1, 2, 3, 5)) == set()  # only the first three
    assert enough(made(1, 2, 3))
    assert not enough(made(1, 2))
