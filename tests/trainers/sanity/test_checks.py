import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from tests.own_tasks import Labels, Line, MeanLine, NoisyLine, Weighted
from trainers.check import Check, Outcome
from trainers.sanity.checks import check_task
from trainers.sanity.lr_curve import LrScan, Suggestion
from trainers.sanity.lr_finder import range_test
from trainers.sanity.thresholds import (
    InitialLoss,
    ShortTraining,
    check_gradients,
    check_initial_loss,
    check_learning,
    check_learning_rate,
)
from trainers.task import Task
from trainers.tasks import Data, Split

RECIPE = Recipe(optimizer=AdamW(lr=1e-2), budget=Budget(batch_size=32))


class Scaled(nn.Module):
    """Model whose logits are multiplied by a wrong factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.body(inputs)
        return logits * self.factor


class Detached(nn.Module):
    """Model with a detached first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.last(self.first(inputs).relu().detach())
        return logits


class LeftOut(Scaled):
    """Model with a layer that forward() does not use."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.forgotten = nn.Linear(3, 3)


class Normed(nn.Sequential):
    """Model with BatchNorm and a head of zeros."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
        nn.init.zeros_(self[-1].weight)


@dataclass(frozen=True)
class Mixture:
    """Task with four Gaussian classes in ten dimensions."""

    network: Callable[[], nn.Module] = lambda: Scaled(1.0)
    shuffled: bool = False
    spread: float = 0.7
    scale: float = 1.0
    classes: int = 4

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(5)
        targets = torch.randint(0, 4, (900,), generator=generator)
        inputs = self.scale * (torch.eye(4, 10)[targets] + self.spread * torch.randn(900, 10, generator=generator))
        if self.shuffled:
            targets = targets[torch.randperm(900, generator=generator)]
        every = Split(inputs, targets)
        return Data(*(every.take(torch.arange(a, b)) for a, b in ((0, 300), (300, 600), (600, 900))))

    def model(self, recipe: Recipe) -> nn.Module:
        return self.network()


def run(task: Mixture, recipe: Recipe = RECIPE) -> dict[str, Check]:
    return {check.name: check for check in check_task(task, recipe, 0)}


def not_passed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.outcome is not Outcome.PASS}


@pytest.mark.parametrize("network", [lambda: Scaled(1.0), Normed])
@pytest.mark.parametrize("optimizer", [AdamW(lr=1e-2), SGD(lr=0.05)])
def test_a_sound_task_passes_every_check(network, optimizer) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "regularization": Regularization(clip_norm=1.0)})
    checks = run(Mixture(network), recipe)
    names = ["overfit one batch", "initial loss", "learning rate", "gradients", "learns", "throughput"]
    assert list(checks) == names
    assert not_passed(checks) == set(), checks
    assert all(check.evidence and not check.next_step for check in checks.values())


def test_shuffled_labels_are_memorised_and_do_not_generalise() -> None:
    checks = run(Mixture(shuffled=True))
    assert checks["overfit one batch"].outcome is Outcome.PASS
    assert not_passed(checks) == {"learns"}
    learns = checks["learns"]
    assert learns.outcome is Outcome.FAIL
    assert "val stays at chance" in learns.evidence
    assert "shuffled" in learns.next_step


def test_labels_without_information_are_a_warning() -> None:
    """The rate is too low to change anything and the scan sees only noise, so the check cannot say more."""
    recipe = Recipe(optimizer=AdamW(lr=1e-7), budget=Budget(batch_size=256))
    checks = run(Mixture(lambda: nn.Linear(10, 4), shuffled=True, spread=5.0), recipe)
    assert checks["learns"].outcome in (Outcome.WARN, Outcome.FAIL)


def test_logits_that_are_too_large_show_in_the_initial_loss() -> None:
    initial = run(Mixture(lambda: Scaled(100.0)))["initial loss"]
    assert initial.outcome is Outcome.FAIL
    assert "ln 4 = 1.386" in initial.evidence
    assert "the logits are too large" in initial.next_step


def test_logits_that_are_too_small_show_in_overfitting_and_in_the_gradients() -> None:
    checks = run(Mixture(lambda: Scaled(1e-3)))
    assert checks["initial loss"].outcome is Outcome.PASS  # ln K, whatever the model does
    assert checks["overfit one batch"].outcome is not Outcome.PASS
    assert checks["gradients"].outcome is Outcome.WARN
    assert "vanishing" in checks["gradients"].evidence


def test_a_detached_layer_is_named() -> None:
    gradients = run(Mixture(Detached))["gradients"]
    assert gradients.outcome is Outcome.FAIL
    assert "2 of 4 parameters" in gradients.evidence
    assert "first.weight, first.bias" in gradients.evidence
    assert "detach" in gradients.next_step


def test_a_layer_that_forward_leaves_out_is_named() -> None:
    gradients = run(Mixture(LeftOut))["gradients"]
    assert gradients.outcome is Outcome.FAIL
    assert "forgotten.weight, forgotten.bias" in gradients.evidence


def test_what_is_frozen_on_purpose_is_not_detached() -> None:
    recipe = RECIPE.model_copy(update={"groups": RECIPE.groups.model_copy(update={"frozen": ("forgotten",)})})
    assert run(Mixture(LeftOut), recipe)["gradients"].outcome is Outcome.PASS


def test_a_rate_beyond_the_blow_up_fails() -> None:
    recipe = RECIPE.model_copy(update={"optimizer": SGD(lr=1e4)})
    rate = run(Mixture(), recipe)["learning rate"]
    assert rate.outcome is not Outcome.PASS
    assert "optimizer.lr is 1e4" in rate.evidence


def test_a_rate_that_is_far_too_low_is_seen_and_the_task_not_blamed() -> None:
    checks = run(Mixture(), RECIPE.model_copy(update={"optimizer": AdamW(lr=1e-7)}))
    assert checks["overfit one batch"].outcome is Outcome.WARN
    assert checks["learning rate"].outcome is Outcome.WARN
    assert "optimizer.lr: {loguniform:" in checks["learning rate"].next_step
    assert checks["learns"].outcome is Outcome.WARN
    assert "raise it" in checks["learns"].next_step


@pytest.mark.parametrize(
    ("loss", "accuracy", "outcome"),
    [
        (math.log(10), 0.1, Outcome.PASS),
        (1.19 * math.log(10), 0.1, Outcome.PASS),
        (1.25 * math.log(10), 0.1, Outcome.WARN),
        (4.0 * math.log(10), 0.1, Outcome.FAIL),
        (0.5 * math.log(10), 0.1, Outcome.WARN),
        (0.5 * math.log(10), 0.7, Outcome.PASS),  # pretrained
        (1.5 * math.log(10), 0.5, Outcome.WARN),  # pretrained and overconfident
        (math.nan, 0.1, Outcome.FAIL),
        (math.inf, 0.1, Outcome.FAIL),
    ],
)
def test_initial_loss(loss: float, accuracy: float, outcome: Outcome) -> None:
    assert check_initial_loss(InitialLoss(loss, accuracy, 1000, 10, 0.1, math.log(10))).outcome is outcome


@pytest.mark.parametrize(
    ("loss", "accuracy", "outcome", "word"),
    [
        (math.log(2), 0.95, Outcome.PASS, "before training, ln 2 = 0.693 (of the class shares 0.199)"),
        (math.log(2), 0.05, Outcome.PASS, "before training"),
        (0.199, 0.95, Outcome.PASS, "0.199 before training"),  # a bias set to the shares
        (0.02, 0.95, Outcome.WARN, "-97%"),
        (0.02, 0.999, Outcome.PASS, "the weights are pretrained"),
        (1.2, 0.05, Outcome.PASS, "1.200"),  # as far above ln 2 as the entropy is below it
        (1.6, 0.95, Outcome.WARN, "+131%"),
        (1.6, 0.999, Outcome.WARN, "the weights are pretrained"),
        (173.0, 0.95, Outcome.FAIL, "173.000"),  # accuracy of the majority, not of pretrained weights
        (173.0, 0.999, Outcome.FAIL, "the weights are pretrained"),
    ],
)
def test_initial_loss_of_unbalanced_classes(loss: float, accuracy: float, outcome: Outcome, word: str) -> None:
    entropy = scipy.stats.entropy([0.95, 0.05])
    found = check_initial_loss(InitialLoss(loss, accuracy, 1000, 2, 0.95, entropy))
    assert found.outcome is outcome
    assert word in found.evidence
    assert ("pretrained" in found.evidence) is (accuracy > 0.99)


@dataclass(frozen=True)
class Rare:
    """Task of two classes, of which one has a twentieth of the examples."""

    factor: float = 1.0
    classes: int = 2

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(6)
        targets = (torch.arange(1200) % 20 == 0).long()
        every = Split(torch.randn(1200, 10, generator=generator) + targets[:, None], targets)
        return Data(*(every.take(torch.arange(a, a + 400)) for a in (0, 400, 800)))

    def model(self, recipe: Recipe) -> nn.Module:
        model = Scaled(self.factor)
        model.body[-1] = nn.Linear(32, 2)
        nn.init.constant_(model.body[-1].bias, 0.0)
        return model


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, Outcome.PASS), (1e3, Outcome.FAIL)])
def test_unbalanced_classes_are_no_sign_of_pretrained_weights(factor: float, outcome: Outcome) -> None:
    for seed in range(3):
        [_, initial] = itertools.islice(check_task(Rare(factor), RECIPE, seed), 2)
        assert initial.outcome is outcome
        assert "of the class shares 0.199" in initial.evidence
        assert "pretrained" not in initial.evidence


def scan(lr: float, suggestion: Suggestion | None) -> LrScan:
    return LrScan("x", "sgd", lr, (1e-7, 10.0), (2.3, 2.2), (2.3, 2.2), suggestion, 1.0)


@pytest.mark.parametrize(
    ("lr", "outcome"), [(0.1, Outcome.PASS), (1e-4, Outcome.WARN), (0.8, Outcome.WARN), (3.0, Outcome.FAIL)]
)
def test_the_recipes_rate_against_the_scan(lr: float, outcome: Outcome) -> None:
    found = check_learning_rate(scan(lr, Suggestion(0.1, 0.01, 0.5, 0.1, 2.0)))
    assert found.outcome is outcome
    assert (found.next_step == "") is (outcome is Outcome.PASS)


def test_a_scan_without_a_fall_is_a_warning() -> None:
    assert check_learning_rate(scan(0.1, None)).outcome is Outcome.WARN


@pytest.mark.parametrize(
    ("norms", "outcome", "word"),
    [
        ({"a": [1.0, 2.0], "b": [0.1, 0.1]}, Outcome.PASS, "norms 0.1 (b) to 1.5 (a)"),
        ({"a": [None, None], "b": [0.1, 0.1]}, Outcome.FAIL, "1 of 2 parameters have no gradient"),
        ({"a": [0.0, 0.0], "b": [0.1, 0.1]}, Outcome.FAIL, "no gradient"),
        ({"a": [0.0, 0.5], "b": [0.1, 0.1]}, Outcome.PASS, "norms"),  # a head of zeros, at the first step
        ({"a": [1e-5, 1e-5], "b": [0.1, 0.1]}, Outcome.WARN, "vanishing"),
        ({"a": [1e-5, 1.5e-3], "b": [0.1, 0.1]}, Outcome.PASS, "norms 0.00076 (a)"),  # an adapter that starts at zero
        ({"a": [1e3, 1e3], "b": [0.1, 0.1]}, Outcome.WARN, "exploding"),
        ({"a": [math.nan, 1.0], "b": [0.1, 0.1]}, Outcome.FAIL, "not finite"),
    ],
)
def test_gradients(norms, outcome: Outcome, word: str) -> None:
    found = check_gradients(norms, frozenset("ab"), 2)
    assert found.outcome is outcome
    assert word in found.evidence


def training(accuracy: float, train: float = 0.1, gain: float = 0.0, majority: float = 0.1) -> ShortTraining:
    return ShortTraining(1e-3, 200, accuracy, train, gain, 0.01, majority, majority, 1000)


@pytest.mark.parametrize(
    ("trainings", "outcome", "word"),
    [
        ([training(0.3)], Outcome.PASS, "0.300"),
        ([training(0.1), training(0.3)], Outcome.WARN, "0.300"),
        ([training(0.11), training(0.11)], Outcome.WARN, "no better than chance"),
        ([training(0.11, train=0.9)], Outcome.FAIL, "the model learns train"),
        ([training(0.95, gain=0.2, majority=0.95)], Outcome.PASS, "0.950"),  # rare classes: the likelihood decides
        ([training(0.95, train=0.95, majority=0.95)], Outcome.WARN, "chance"),
    ],
)
def test_learning(trainings, outcome: Outcome, word: str) -> None:
    found = check_learning(trainings, overfits=True)
    assert found.outcome is outcome
    assert word in found.evidence


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    run(Mixture())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("task", [NoisyLine(), MeanLine(), Labels(), Weighted()])
def test_a_task_with_a_loss_of_its_own_passes_and_learns(task: Task) -> None:
    recipe = Recipe(optimizer=AdamW(lr=0.02), budget=Budget(batch_size=32))
    checks = {one.name: one for one in check_task(task, recipe, 0)}
    assert [one.outcome for one in checks.values()].count(Outcome.FAIL) == 0, checks
    assert checks["initial loss"].outcome is Outcome.PASS
    assert checks["initial loss"].evidence.endswith("before training")
    assert checks["learns"].outcome is Outcome.PASS
    assert "val loss" in checks["learns"].evidence
    assert range_test(task, recipe, 0).suggestion is not None


class Undefined(Line):
    """Regression with a loss that is not finite."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.mean(1) - 1e9).log()


def test_a_loss_that_is_not_finite_fails() -> None:
    [_, initial, *_] = check_task(Undefined(), Recipe(budget=Budget(batch_size=32)), 0)
    assert (initial.outcome, initial.evidence) == (Outcome.FAIL, "nan before training")
