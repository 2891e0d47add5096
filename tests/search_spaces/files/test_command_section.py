from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces import SpaceSpec, SpecError, diff_specs, dump_space, load_space, parse_space, recipe_hash, resolve

SPACE = """\
kind: sweep
task:
  command: [python, train.py, "${args}", --steps, "${steps}", --out, "${out}", "${resume:--resume ${out}/last.pt}"]
  rename: {eval_loss: val/loss}
metric: {name: val/loss, goal: minimize}
budget: {steps: 3000}
args: {lr: 1e-3, weight-decay: 0.01, batch-size: 64, optimizer.betas: [0.9, 0.999], name: null}
search:
  args.lr: {loguniform: [1e-5, 1e-1]}
  args.weight-decay: {loguniform: [1e-4, 1]}
runs: 32
"""


def space(text: str = SPACE) -> SpaceSpec:
    return parse_space(text, "s.yaml", "s")


def test_a_command_with_its_arguments_and_budget() -> None:
    spec = space()
    assert spec.command is not None
    assert spec.command.command[:3] == ("python", "train.py", "${args}")
    assert spec.command.source == ("stdout", "")
    assert spec.task_name == "train.py"
    assert spec.recipe.args["optimizer.betas"] == (0.9, 0.999)
    assert spec.recipe.args["name"] is None
    assert (spec.recipe.budget.unit, spec.recipe.budget.length) == ("step", 3000)
    assert [parameter.name for parameter in spec.parameters.every] == ["args.lr", "args.weight-decay"]


def test_epochs_are_the_default_unit() -> None:
    budget = space(SPACE.replace("steps: 3000", "epochs: 9").replace("${steps}", "${epochs}")).recipe.budget
    assert (budget.unit, budget.length, budget.text) == ("epoch", 9, "9 epochs")


@pytest.mark.parametrize(
    "metrics",
    ["stdout", "{jsonl: log.jsonl}", '{csv: "**/metrics.csv"}', "{tensorboard: tb}", "{file: result.json}"],
)
def test_the_stored_text_gives_the_same_space(metrics: str) -> None:
    spec = space(SPACE.replace("rename:", f"metrics: {metrics}\n  rename:"))
    text = dump_space(spec)
    assert "recipe:" not in text
    assert parse_space(text, "stored", "s") == spec
    assert dump_space(parse_space(text, "stored", "s")) == text


@pytest.mark.parametrize(
    ("name", "recorded"), [("val_loss", "val/loss"), ("eval/acc", "eval/acc"), ("Val.Acc", "Val/Acc")]
)
def test_a_metric_may_be_named_as_the_program_names_it(name: str, recorded: str) -> None:
    assert space(SPACE.replace("name: val/loss", f"name: {name}")).metric.name == recorded


def test_the_arguments_are_part_of_the_hash_of_a_recipe() -> None:
    recipe = space().recipe
    other = resolve(recipe, {"args.lr": 0.5})
    assert other.args["lr"] == 0.5
    assert recipe_hash(other) != recipe_hash(recipe)
    assert recipe_hash(resolve(other, {"args.lr": 1e-3})) == recipe_hash(recipe)


def test_another_command_is_another_file() -> None:
    other = space(SPACE.replace("python, train.py", "python3, train.py").replace("lr: 1e-3", "lr: 2e-3"))
    task, learning_rate = diff_specs(space(), other)
    assert "python3" in task
    assert learning_rate == "recipe.args.lr: 0.001 -> 0.002"


def test_set_fixes_an_argument(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPACE)
    spec = load_space(str(path), ["args.lr=0.5"])
    assert spec.recipe.args["lr"] == 0.5
    assert list(spec.search) == ["args.weight-decay"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda text: text.replace("steps: 3000", "stepz: 9"),
            "s.yaml:6: budget.stepz: unknown name; did you mean steps?",
        ),
        (lambda text: text.replace("steps: 3000", "steps: 0"), "s.yaml:6: budget.steps: must be at least 1, found 0"),
        (
            lambda text: text.replace("steps: 3000", "epochs: 0").replace("{steps}", "{epochs}"),
            "s.yaml:6: budget.epochs: must be at least 1, found 0",
        ),
        (lambda text: text.replace("lr: 1e-3", "lr: .nan"), "s.yaml:7: args.lr: must be finite, found .nan"),
        (
            lambda text: text.replace("name: null", "--name: x"),
            "s.yaml:7: args.--name: must be the name of an argument",
        ),
        (lambda text: text.replace("args.lr:", "args.lrr:"), "s.yaml:9: search.args.lrr: args has no such name"),
        (lambda text: text.replace("python,", "true,"), "s.yaml:3: task.command.0: must be a text, found true; write"),
        (lambda text: text.replace("rename", "renam"), "s.yaml:4: task.renam: unknown name; did you mean rename?"),
        (lambda text: text + "recipe: {optimizer: {lr: 1}}\n", "s.yaml:12: recipe: a command has no recipe;"),
        (lambda text: text.replace("name: val/loss", "name: loss"), "s.yaml:5: metric.name: must not select on train/"),
        (
            lambda text: text.replace("rename:", "metrics: {log: x}\n  rename:"),
            "s.yaml:4: task.metrics: must be stdout,",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(change: Callable[[str], str], line: str) -> None:
    with pytest.raises(SpecError) as raised:
        space(change(SPACE))
    [problem] = map(str, raised.value.problems)
    assert problem.startswith(line)


def test_every_mistake_is_told_at_once() -> None:
    text = SPACE.replace("steps: 3000", "steps: -1").replace("python,", "true,").replace("runs: 32", "runs: 0")
    with pytest.raises(SpecError) as raised:
        space(text)
    assert [str(problem).partition(": ")[0] for problem in raised.value.problems] == [
        "s.yaml:3",
        "s.yaml:6",
        "s.yaml:11",
    ]


@pytest.mark.parametrize("section", ["args: {lr: 1}", "budget: {epochs: 3}"])
def test_only_a_command_has_these_sections(section: str) -> None:
    text = f"kind: sweep\ntask: digits\nmetric: {{name: val/nll, goal: minimize}}\n{section}\nruns: 1\n"
    with pytest.raises(SpecError, match=r"s.yaml:4: .*only a task with a command has it"):
        space(text)
