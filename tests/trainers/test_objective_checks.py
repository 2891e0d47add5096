"""What is wrong with the optional members of a task is one clear line each, before anything is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.specs.ablation_parts import ArmMetric
from tests.own_tasks import Labels, Line, NoisyLine, Weighted
from trainers import task_checks
from trainers.task_checks import check_arms, check_metric, prepare
from trainers.tasks import Data, Split

RECIPE = Recipe(budget=Budget(epochs=1, batch_size=4))
GOOD = Split(torch.ones(6, 3), torch.ones(6, 1))


def regression(**members: object) -> SimpleNamespace:
    good = {
        "data": lambda seed: Data(GOOD, GOOD),
        "model": lambda recipe: nn.Linear(3, 1),
        "loss": functional.mse_loss,
    }
    return SimpleNamespace(**(good | members))


def use(monkeypatch: pytest.MonkeyPatch, target: object) -> None:
    monkeypatch.setattr(task_checks, "load_target", lambda reference: target)


@pytest.mark.parametrize("target", [Line(), Line(test=False), NoisyLine(), Labels(), Weighted(), regression()])
def test_tasks_with_a_loss_of_their_own_pass(monkeypatch, target):
    use(monkeypatch, target)
    assert "val" in prepare("x", RECIPE, 0)


def broken(*arguments):
    raise ValueError("my bug")


GOALS = {"mae": "minimize"}
VECTOR = Split(torch.ones(6, 3), torch.ones(6))
BROKEN = [
    ({"loss": 3}, r"loss must be a method loss\(outputs, targets\), found a int"),
    ({"loss": broken}, r"loss\(outputs, targets\) failed: ValueError: my bug"),
    ({"loss": lambda o, t: 3.0}, r"loss\(outputs, targets\) must return a float tensor .*; found float"),
    ({"loss": lambda o, t: (o - t) ** 2}, r"shape \(n,\), here \(4,\), or a scalar.*; found float32 \(4, 1\)"),
    ({"loss": lambda o, t: (o - t).mean() / 0}, "must be finite, found -?inf for 4 examples and the initial weights"),
    ({"loss": lambda o, t: (o.detach() - t).square().mean()}, "differentiable with respect to outputs"),
    ({"loss": lambda o, t: (o * 0).sqrt().mean()}, "must have a finite gradient with respect to outputs, found"),
    (
        {"data": lambda seed: Data(VECTOR, VECTOR)},
        r"different shapes, outputs float32 \(4, 1\) and targets float32 \(4,\); give both the same shape",
    ),
    ({"metrics": lambda o, t: {}}, "metrics needs the goal of each metric, such as goals = .*; found no goals"),
    ({"goals": GOALS}, r"goals needs a method metrics\(outputs, targets\)"),
    ({"goals": {}, "metrics": lambda o, t: {}}, "goals must be a dict of names and goals"),
    ({"goals": {"mae": "min"}, "metrics": broken}, "goals: mae must be minimize or maximize, found 'min'"),
    ({"goals": {"loss": "minimize"}, "metrics": broken}, "goals: loss is reported already; choose another name"),
    ({"goals": {"a/b": "minimize"}, "metrics": broken}, "goals: a name must be letters, digits, .* found 'a/b'"),
    ({"goals": GOALS, "metrics": broken}, r"metrics\(outputs, targets\) failed: ValueError: my bug"),
    ({"goals": GOALS, "metrics": lambda o, t: {"mse": 1.0}}, r"the names of goals, \['mae'\]; found \['mse'\]"),
    ({"augment": broken}, r"augment\(inputs, targets, generator\) failed: ValueError: my bug"),
    (
        {"augment": lambda i, t, g: i},
        r"must return \(inputs, targets\) of 4 examples, tensors like its arguments; found Tensor",
    ),
    ({"augment": lambda i, t, g: (i[:2], t)}, r"found float32 \(2, 3\), float32 \(4, 1\)"),
    ({"augment": lambda i, t, g: (torch.randn_like(i), t)}, "every random number from generator; two calls .* differ"),
    ({"model": lambda recipe: nn.Flatten(0)}, "no parameter to train"),
    ({"classes": 1}, "classes must be an integer of at least 2, found 1"),
]


@pytest.mark.parametrize(("members", "expected"), BROKEN)
def test_a_wrong_member_is_one_line(monkeypatch, members, expected):
    use(monkeypatch, regression(**members))
    with pytest.raises(UsageError, match=expected) as caught:
        prepare("mine:Task", RECIPE, 0)
    assert str(caught.value).startswith("task mine:Task: ")
    assert "\n" not in str(caught.value)


def test_every_wrong_member_has_its_line(monkeypatch):
    use(monkeypatch, regression(loss=3, augment=4, goals={"mae": 1, "loss": "maximize"}, metrics=5))
    with pytest.raises(UsageError) as caught:
        prepare("mine:Task", RECIPE, 0)
    assert len(caught.value.problems) == 5


def test_a_field_that_needs_classes_is_named(monkeypatch):
    use(monkeypatch, Line())
    with pytest.raises(UsageError, match=r"^task x: regularization.mixup mixes .* has no classes; remove it"):
        prepare("x", Recipe(regularization=Regularization(mixup=0.1)), 0)
    with pytest.raises(UsageError, match=r"^task x: regularization.label_smoothing spreads"):
        check_metric("x", RECIPE, "val/loss", "minimize", ["regularization.label_smoothing"])


def test_the_metric_of_a_sweep_is_one_that_the_task_reports_with_its_goal(monkeypatch):
    use(monkeypatch, Line())
    check_metric("x", RECIPE, "val/mae", "minimize")
    check_metric("x", RECIPE, "val/r2", "maximize")
    for metric, goal, expected in (
        ("val/nll", "minimize", "metric.name: the task does not report val/nll .*valid: val/loss, val/mae, val/r2"),
        ("val/mae", "maximize", "metric.goal: must be minimize for val/mae, as the task declares, found maximize"),
        ("val/loss", "maximize", "metric.goal: must be minimize for val/loss"),
    ):
        with pytest.raises(UsageError, match=expected):
            check_metric("x", RECIPE, metric, goal)


@pytest.mark.parametrize(
    ("metric", "goal", "test", "expected"),
    [
        ("test/mae", "minimize", False, "test/mae needs a test split, and data.seed..test is None; return .*: val/mae"),
        ("test/nll", "minimize", True, "metrics.primary: the task does not report test/nll at the end"),
        ("test/mae@temperature", "minimize", True, "does not report test/mae@temperature at the end"),
        ("test/mae", "maximize", True, "metrics.primary: must be minimize for test/mae"),
    ],
)
def test_the_arms_of_an_ablation_are_compared_by_what_the_task_reports(monkeypatch, metric, goal, test, expected):
    use(monkeypatch, Line(test))
    check_arms("x", [ArmMetric("a", RECIPE, "val/mae")], "minimize", test)
    with pytest.raises(UsageError, match=f"^task x: arm a: .*{expected}"):
        check_arms("x", [ArmMetric("a", RECIPE, metric)], goal, test)
