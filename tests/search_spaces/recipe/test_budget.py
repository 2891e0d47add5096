"""The unit of progress: a budget counts epochs or steps."""

import pytest
from pydantic import ValidationError

from search_spaces import SpecError, UsageError, dump_space, parse_space
from search_spaces.files.space_loader import load_space
from search_spaces.recipe.fields import resolve
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.recipe import Budget, Patience, Recipe

SPACE = """\
kind: sweep
task: digits
metric: {name: val/accuracy, goal: maximize}
recipe:
  budget: {steps: 300, report_every: 50}
search:
  optimizer.lr: {loguniform: [0.0001, 0.1]}
runs: 4
"""
COMMAND = """\
kind: sweep
task: {command: [python, train.py, "${args}", "${steps}"]}
metric: {name: val/accuracy, goal: maximize}
args: {lr: 0.1}
budget: {steps: 300}
runs: 1
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_space(text, "s.yaml", "s")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), ("epoch", 27, 1, 27, "27 epochs")),
        (Budget(epochs=9), ("epoch", 9, 1, 9, "9 epochs")),
        (Budget(steps=300, report_every=50), ("step", 300, 50, 6, "300 steps")),
        (Budget(steps=300, report_every=70), ("step", 300, 70, 5, "300 steps")),
        (Budget(steps=300), ("step", 300, 11, 28, "300 steps")),
        (Budget(steps=5), ("step", 5, 1, 5, "5 steps")),
    ],
)
def test_length_and_reports(budget, expected):
    assert (budget.unit, budget.length, budget.interval, budget.reports, budget.text) == expected
    assert Budget.model_validate(budget.model_dump(mode="json")) == budget


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 9, "steps": 300}, "must have epochs or steps, found 9 and 300; remove one of them"),
        ({"epochs": None}, "must have epochs or steps, found neither"),
        ({"steps": 300, "report_every": 301}, "report_every must be at most steps, found 301 and 300"),
        ({"epochs": 9, "report_every": 3}, "report_every needs steps, found epochs 9"),
        ({"report_every": 3}, "report_every needs steps, found epochs 27"),
    ],
)
def test_an_unclear_budget_is_one_line(values, message):
    with pytest.raises(ValidationError, match=message):
        Budget(**values)
    text = SPACE.replace("{steps: 300, report_every: 50}", str(values).replace("'", "").replace("None", "null"))
    [found] = problems(text)
    assert found.startswith(f"s.yaml:5: recipe.budget: {message}")


@pytest.mark.parametrize(("field", "value"), [("report_every", 50), ("steps", 300)])
def test_a_count_of_zero(field, value):
    [found] = problems(SPACE.replace(f"{field}: {value}", f"{field}: 0"))
    assert found.startswith(f"s.yaml:5: recipe.budget.{field}: must be at least 1, found 0")


def test_a_command_decides_itself_when_it_reports():
    assert parse_space(COMMAND, "s.yaml", "s").recipe.budget.length == 300
    [found] = problems(COMMAND.replace("steps: 300", "steps: 300, report_every: 50"))
    assert found == "s.yaml:5: budget.report_every: a command decides itself when it reports, found 50; remove it"


def test_the_hash_of_a_budget_in_epochs_is_that_of_before():
    assert recipe_hash(Recipe(budget=Budget(epochs=27))) == recipe_hash(Recipe())
    assert recipe_hash(Recipe(budget=Budget(steps=27))) != recipe_hash(Recipe())


@pytest.mark.parametrize("text", [SPACE, SPACE.replace(", report_every: 50", "")])
def test_a_dump_is_read_again(text):
    spec = parse_space(text, "s.yaml", "s")
    assert "epochs" not in dump_space(spec).partition("budget:")[2].splitlines()[0]
    assert parse_space(dump_space(spec), "s.yaml", "s") == spec


def test_one_unit_replaces_the_other():
    steps = resolve(Recipe(budget=Budget(epochs=9)), {"budget.steps": 300})
    assert (steps.budget.epochs, steps.budget.steps) == (None, 300)
    epochs = resolve(Recipe(budget=Budget(steps=300, report_every=50)), {"budget.epochs": 9})
    assert epochs.budget == Budget(epochs=9)
    with pytest.raises(UsageError, match="must have epochs or steps"):
        resolve(Recipe(), {"budget.epochs": 9, "budget.steps": 300})


def test_one_unit_replaces_that_of_an_option_and_of_an_extended_space(tmp_path):
    assert load_space("vision_scratch", overrides=["budget.steps=300"]).recipe.budget.length == 300
    path = tmp_path / "base.yaml"
    path.write_text(SPACE, encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text("extends: base.yaml\nkind: sweep\nrecipe: {budget: {epochs: 3}}\n", encoding="utf-8")
    assert load_space(str(own)).recipe.budget == Budget(epochs=3)


@pytest.mark.parametrize(
    ("budget", "other"), [("{steps: 300}", "epochs"), ("{epochs: 9}", "steps")], ids=["steps", "epochs"]
)
def test_the_runs_of_a_sweep_have_one_unit(budget, other):
    text = SPACE.replace("{steps: 300, report_every: 50}", budget)
    [found] = problems(text.replace("search:\n", f"search:\n  budget.{other}: {{choice: [2, 4]}}\n"))
    assert found.startswith(f"s.yaml:7: search.budget.{other}: the runs of a sweep need one unit")


def test_the_length_may_be_searched():
    text = SPACE.replace("search:\n", "search:\n  budget.steps: {choice: [100, 300]}\n")
    assert set(parse_space(text, "s.yaml", "s").search) == {"budget.steps", "optimizer.lr"}
    [found] = problems(text.replace("[100, 300]", "[40, 300]"))
    assert "report_every must be at most steps, found 50 and 40" in found


@pytest.mark.parametrize(
    ("budget", "patience", "message"),
    [
        (Budget(steps=9), Patience(epochs=3), "patience.epochs counts epochs, .* found 3; use patience.reports"),
        (Budget(epochs=9), Patience(reports=3), "patience.reports is for a budget of steps, .* use patience.epochs"),
    ],
)
def test_patience_is_in_what_the_training_counts(budget, patience, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(budget=budget, patience=patience)
