"""Ablations of a command: their files, metrics and stored texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import AblationSpec, SpecError, diff_specs, dump_ablation, load_ablation, parse_ablation

TEXT = """\
kind: ablation
question: Does a smaller rate help?
task: {command: [python, train.py, "${args}", --seed, "${seed}", --steps, "${steps}"]}
args: {lr: 0.1, optimizer.eps: 1e-8}
budget: {steps: 300}
arms:
  as today: {}
  smaller: {args.lr: 0.01}
  both: {args: {lr: 0.01, optimizer.eps: 1e-6}}
pairs: 4
metrics: {primary: val_loss, secondary: [eval_acc, loss], goal: minimize}
"""
SPACE = """\
kind: sweep
task: {command: [python, train.py, "${args}", --seed, "${seed}"]}
metric: {name: val_loss, goal: minimize}
args: {lr: 0.1, optimizer.eps: 1e-8}
budget: {epochs: 3}
search: {args.lr: {loguniform: [1e-4, 1]}}
runs: 9
"""


def ablation(text: str = TEXT) -> AblationSpec:
    return parse_ablation(text, "a.yaml", "a")


def test_arms_set_arguments_and_metrics_are_named_as_recorded() -> None:
    spec = ablation()
    assert spec.space.command is not None
    assert spec.recipe("as today").args == {"lr": 0.1, "optimizer.eps": 1e-8}
    assert spec.recipe("both").args == {"lr": 0.01, "optimizer.eps": 1e-6}
    assert spec.recipe("both").budget.steps == 300
    assert (spec.metrics.primary, spec.metrics.secondary) == ("val/loss", ("eval/acc", "train/loss"))
    assert spec.space.metric.name == spec.metrics.selection == "val/loss"


@pytest.mark.parametrize("primary", ["val_loss", "Test.Acc", "reward", "test/acc"])
def test_the_stored_text_gives_the_same_ablation(primary: str) -> None:
    spec = ablation(TEXT.replace("primary: val_loss", f"primary: {primary}"))
    text = dump_ablation(spec)
    assert "recipe:" not in text
    assert ablation(text) == spec
    assert dump_ablation(ablation(text)) == text


def test_the_space_may_be_another_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SPACE)
    lines = [line for line in TEXT.splitlines() if not line.startswith(("task:", "args:", "budget:"))]
    path = tmp_path / "a.yaml"
    path.write_text("\n".join([*lines, "space: mine.yaml", "args: {lr: 0.2}", ""]))
    spec = load_ablation(str(path), tmp_path)
    assert spec.recipe("as today").args == {"lr": 0.2, "optimizer.eps": 1e-8}
    assert spec.recipe("as today").budget.epochs == 3
    assert ablation(dump_ablation(spec)).space == spec.space.model_copy(update={"name": "a"})


def test_a_difference_is_named_by_its_argument() -> None:
    assert diff_specs(ablation(), ablation(TEXT.replace("lr: 0.1,", "lr: 0.2,"))) == (
        "space.recipe.args.lr: 0.1 -> 0.2",
    )


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("{args.lr: 0.01}", "{args.lr: .nan}", "a.yaml:8: arms.smaller.args.lr: "),
        ("primary: val_loss", "primary: ''", "a.yaml:11: metrics.primary: must be split/name"),
        ("primary: val_loss, ", "", "a.yaml:11: metrics.primary: is required but missing"),
        ("lr: 0.1,", "lr: .inf,", "a.yaml:4: args.lr: "),
    ],
)
def test_a_mistake_is_one_line_with_its_place(before: str, after: str, line: str) -> None:
    with pytest.raises(SpecError) as raised:
        ablation(TEXT.replace(before, after))
    [problem] = map(str, raised.value.problems)
    assert problem.startswith(line)


def test_an_arm_may_add_an_argument_if_it_reaches_the_program() -> None:
    added = TEXT.replace("{args.lr: 0.01}", "{args.ema: true}")
    assert ablation(added).recipe("smaller").args["ema"] is True
    with pytest.raises(SpecError, match=r"a.yaml:8: arms.smaller: args.ema: "):
        ablation(added.replace('"${args}"', '--lr, "${args.lr}", --eps, "${args.optimizer.eps}"'))


def test_arms_are_not_re_tuned_by_a_metric_on_test() -> None:
    text = TEXT.replace("pairs: 4", "retune: {runs: 3, over: [args.lr]}\nsearch: {args.lr: {uniform: [0, 1]}}")
    assert ablation(text).metrics.selection == "val/loss"
    tested = text.replace("primary: val_loss", "primary: test_loss")
    with pytest.raises(SpecError, match=r"metrics.select: must name a metric that is neither on test"):
        ablation(tested)
    assert ablation(tested.replace("goal", "select: val_loss, goal")).space.metric.name == "val/loss"


def test_arms_may_name_other_code() -> None:
    arms = "  as today: {rev: main}\n  same: {rev: main, seeds: paired}\n  patched: {rev: main, patch: my.diff}\n"
    arms += "  now: {rev: WORKTREE}\n  now again: {weights: ema}\n"
    spec = ablation(TEXT.replace("  as today: {}\n", arms))
    codes = {name: arm.code for name, arm in spec.all_arms.items()}
    assert codes["as today"] == ("main", "")
    assert codes["patched"] == ("main", "my.diff")
    assert codes["now"] is None
    owners = spec.trained_as()
    assert (owners["same"], owners["patched"], owners["now again"]) == ("same", "patched", "now")
    assert ablation(dump_ablation(spec)) == spec


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ("{rev: 1234567}", "arms.smaller.rev: "),
        ("{rev: ''}", "arms.smaller.rev: "),
        ("{rev: WORKTREE, patch: my.diff}", "arms.smaller.rev: must be a commit if there is a patch, found WORKTREE"),
    ],
)
def test_invalid_code_is_one_line(arm: str, line: str) -> None:
    with pytest.raises(SpecError) as error:
        ablation(TEXT.replace("{args.lr: 0.01}", arm))
    [found] = str(error.value).splitlines()
    assert line in found


def test_only_a_command_has_code_of_its_own() -> None:
    text = "kind: ablation\nquestion: q\ntask: mnist1d\narms:\n  a: {}\n  b: {rev: main}\n"
    with pytest.raises(SpecError, match=r"arms\.b\.rev: needs a task that is a command.*found mnist1d"):
        ablation(f"{text}metrics: {{goal: minimize}}\n")
