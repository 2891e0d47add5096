import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Budget, Recipe
from trainers import task_checks
from trainers.task_checks import check_metric, prepare
from trainers.tasks import Data, DatasetSplit, IterableSplit, Split

RECIPE = Recipe(budget=Budget(epochs=1))
GOOD = Split(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))


def task(**members) -> SimpleNamespace:
    good = {"classes": 2, "data": lambda seed: Data(GOOD, GOOD, GOOD), "model": lambda recipe: nn.Linear(3, 2)}
    return SimpleNamespace(**(good | members))


def loop(config, seed, state=None):
    yield {"val/x": 1.0}


def test_prepare_passes_what_can_be_trained(monkeypatch):
    three = {"train", "val", "test"}
    for target, splits in (
        (task(), three),
        (task(classes=np.int64(2)), three),
        (task(model=lambda recipe: nn.LazyLinear(2)), three),
        (loop, set()),
    ):
        monkeypatch.setattr(task_checks, "load_target", lambda reference, target=target: target)
        assert set(prepare("x", RECIPE, 0)) == splits
    monkeypatch.undo()
    assert set(prepare("digits", RECIPE, 0)) == {"train", "val", "test"}


def broken(*arguments):
    raise ValueError("my bug")


def with_train(inputs: torch.Tensor, targets: torch.Tensor):
    return lambda seed: Data(Split(inputs, targets), GOOD, GOOD)


def loaded(items, collate=None):
    return lambda seed: Data(DatasetSplit(items, collate=collate), GOOD, GOOD)


class Squeezed(nn.Linear):
    """Model that drops every dimension of size 1."""

    def forward(self, inputs):
        return super().forward(inputs).squeeze()


class Unused(nn.Linear):
    """Model whose forward pass leaves out a lazy layer."""

    def __init__(self):
        super().__init__(3, 2)
        self.forgotten = nn.LazyLinear(4)


class Damaged:
    """Dataset of which one item cannot be read."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == 7:
            raise OSError("cannot read 7\nand more")
        return torch.zeros(3), index % 2


class Nothing:
    """Iterable without a batch."""

    def __iter__(self):
        return iter(())


FOUR = torch.zeros(4, 3)
BROKEN = [
    ({"classes": 1}, "classes must be an integer of at least 2, found 1"),
    ({"classes": np.int64(1)}, "classes must be an integer of at least 2, found np.int64.1"),
    ({"classes": 2.0}, "classes must be an integer of at least 2, found 2.0"),
    ({"model": lambda recipe: Squeezed(3, 2)}, r"float logits \(1, 2\), found float32 \(2,\)"),
    ({"model": lambda recipe: nn.Sequential(nn.LazyConv1d(2, 1), nn.Linear(5, 2))}, r"first forward failed: "),
    ({"data": broken}, r"data\(seed\) failed: ValueError: my bug \(.*test_task_checks.py:\d+\)"),
    ({"data": lambda seed: None}, "must return a trainers.tasks.Data, found a NoneType"),
    ({"data": lambda seed: Data(GOOD, GOOD, 3)}, r"data\(seed\).test must be a trainers.tasks.Split"),
    ({"data": with_train(FOUR, torch.zeros(4))}, r"train.targets must be int64 of shape \(n,\), found float32 \(4,\)"),
    ({"data": with_train(FOUR, torch.zeros(4, 1).long())}, r"found int64 \(4, 1\)"),
    ({"data": with_train(FOUR[:3], GOOD.targets)}, "as many inputs as targets, at least 1; found 3 and 4"),
    ({"data": with_train(FOUR[:0], GOOD.targets[:0])}, "found 0 and 0"),
    ({"data": with_train(FOUR, torch.tensor([0, 1, 2, -1]))}, "targets must be 0 .. 1 for 2 classes, found -1 .. 2"),
    ({"data": with_train(FOUR / 0, GOOD.targets)}, "inputs contain NaN or infinity"),
    ({"data": with_train({"a": FOUR, "b": FOUR[:3]}, GOOD.targets)}, r"inputs\['b'\] as targets, .* found 3 and 4"),
    ({"data": with_train({"a": 3}, GOOD.targets)}, r"train.inputs must be tensors \(n, ...\), found \['a'\] int"),
    ({"data": loaded([])}, r"data\(seed\).train: the dataset is empty; a split needs at least 1 example"),
    ({"data": loaded([3])}, r"train: item 0 of the dataset must be a pair \(input, target\), found a int"),
    ({"data": loaded([(1, 2, 3)])}, r"must be a pair \(input, target\), found a tuple of 3"),
    ({"data": loaded([(FOUR[0], 0), (FOUR, 1)])}, r"train: collating a batch failed: RuntimeError: stack expects"),
    ({"data": loaded([(FOUR[0], 0)], broken)}, r"train: collating a batch failed: ValueError: my bug \(.*\.py:\d+\)"),
    ({"data": loaded([(FOUR[0], 0)], lambda items: FOUR)}, r"a collated batch must be a pair .* found a Tensor"),
    (
        {"data": loaded([(FOUR[0], 0)], lambda items: (FOUR, GOOD.targets[:3]))},
        r"inputs float32 \(4, 3\) and .* \(3,\)",
    ),
    ({"data": loaded([(FOUR[0], 0)], lambda items: ("a", GOOD.targets))}, "pair of tensors .* inputs is a str"),
    ({"data": loaded(Damaged())}, r"train: item 7 of the dataset failed: OSError: cannot read 7 \(.*_checks.py:\d+\)$"),
    ({"data": loaded([(FOUR[0], "cat")] * 40)}, r"targets is a \[0\] str, .*, \[7\] str and 24 more$"),
    ({"data": lambda seed: Data(IterableSplit(iter([])), GOOD)}, r": data\(seed\): IterableSplit needs an iterable"),
    ({"data": lambda seed: Data(IterableSplit([(FOUR, FOUR)], 2.5), GOOD)}, "an integer, found 2.5"),
    ({"data": lambda seed: Data(IterableSplit(Nothing(), 9), GOOD)}, "train: the iterable ended after 0 of 9 batches"),
    ({"data": lambda seed: Data(DatasetSplit([3], 2.0), GOOD)}, "both integers, found 2.0 and 256"),
    ({"data": with_train(FOUR.numpy(), GOOD.targets.numpy())}, "IterableSplit; found a Split of ndarray"),
    ({"data": loaded([(FOUR[0], 2)])}, "train.targets must be 0 .. 1 for 2 classes, found 2 .. 2"),
    ({"model": broken}, r"model\(recipe\) failed: ValueError: my bug"),
    ({"model": lambda recipe: 3}, "must return a torch.nn.Module, found a int"),
    ({"model": lambda recipe: nn.Flatten()}, "no parameter to train"),
    ({"model": lambda recipe: nn.Linear(5, 2)}, r"forward on inputs \(2, 3\) failed: RuntimeError"),
    ({"model": lambda recipe: nn.Linear(3, 7)}, r"float logits \(2, 2\), found float32 \(2, 7\)"),
]


@pytest.mark.parametrize(("members", "expected"), BROKEN)
def test_prepare_says_in_one_line_what_to_fix(monkeypatch, members, expected):
    monkeypatch.setattr(task_checks, "load_target", lambda reference: task(**members))
    with pytest.raises(UsageError, match=expected) as caught:
        prepare("mine:Task", RECIPE, 0)
    assert str(caught.value).startswith("task mine:Task: ")
    assert "\n" not in str(caught.value)


def test_prepare_refuses_frozen_names_that_the_model_does_not_have(monkeypatch):
    monkeypatch.setattr(task_checks, "load_target", lambda reference: task())
    groups = RECIPE.groups.model_copy(update={"frozen": ("heda",)})
    with pytest.raises(UsageError, match=r"^groups\.frozen: the model has no parameter under 'heda'"):
        prepare("x", RECIPE.model_copy(update={"groups": groups}), 0)


def test_a_lazy_layer_that_forward_leaves_out_is_named(monkeypatch):
    monkeypatch.setattr(task_checks, "load_target", lambda reference: task(model=lambda recipe: Unused()))
    with pytest.raises(UsageError, match=r"forgotten\.weight has no shape after a forward pass") as caught:
        prepare("x", RECIPE, 0)
    assert "\n" not in str(caught.value)


def test_prepare_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    prepare("digits", RECIPE, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_metric_that_a_task_does_not_report_is_refused(monkeypatch):
    monkeypatch.setattr(task_checks, "load_target", lambda reference: task())
    check_metric("mine:Task", RECIPE, "val/nll", "minimize")
    with pytest.raises(
        UsageError, match=r"task mine:Task: metric.name: the task does not report val/f1 .*valid: val/nll"
    ):
        check_metric("mine:Task", RECIPE, "val/f1", "maximize")
    monkeypatch.setattr(task_checks, "load_target", lambda reference: loop)
    assert check_metric("mine:train", RECIPE, "val/f1", "maximize") is None  # what a loop reports is not known yet


@pytest.mark.parametrize(
    "wrong", [lambda config: None, lambda config, seed: None, lambda config, *, seed, state: None, lambda: None]
)
def test_a_loop_that_takes_other_arguments_is_refused_before_it_runs(monkeypatch, wrong):
    monkeypatch.setattr(task_checks, "load_target", lambda reference: wrong)
    with pytest.raises(UsageError, match=r"a training loop is called as train\(config, seed, state\)") as raised:
        prepare("mine:train", RECIPE, 0)
    assert "\n" not in str(raised.value)


def test_a_loop_may_take_any_arguments_that_fit(monkeypatch):
    for fitting in (lambda config, seed, state=None: None, lambda *arguments: None, lambda a, b, c, more=1: None):
        monkeypatch.setattr(task_checks, "load_target", lambda reference, loop=fitting: loop)
        assert prepare("mine:train", RECIPE, 0) == {}


def test_a_decorated_loop_is_judged_by_the_arguments_of_its_decorator(monkeypatch):
    def blocking(config, seed):
        """Return nothing."""

    @functools.wraps(blocking)
    def decorated(config, seed, state=None):
        yield {"val/x": 1.0}

    monkeypatch.setattr(task_checks, "load_target", lambda reference: decorated)
    assert prepare("mine:train", RECIPE, 0) == {}
