"""Contract of every optimizer kind with the training. A new kind is tested as soon as it is in the union."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.recipe.optimizers import Lookahead, Optimizer
from search_spaces.recipe.part import Part
from trainers.optim.modes import backward, eval_mode, train_mode
from trainers.optim.optimizers import build_optimizer

KINDS: dict[str, type[Part]] = {part.model_fields["kind"].default: part for part in get_args(get_args(Optimizer)[0])}
DECAYING = [kind for kind, part in KINDS.items() if "weight_decay" in part.model_fields]

# Learning rates for a hundred steps, since the defaults are meant for thousands.
BRISK: dict[str, dict[str, Any]] = {
    "adafactor": {"lr": 2e-2},
    "adagrad": {"lr": 3e-2},
    "adam": {"lr": 1e-2},
    "adam_l2": {"lr": 1e-2, "weight_decay": 1e-4},
    "adamw": {"lr": 1e-2},
    "lamb": {"lr": 1e-2},
    "lars": {"lr": 0.1, "trust_coefficient": 0.02},
    "lion": {"lr": 2e-3},
    "muon": {"adamw_lr": 1e-2},
    "nadam": {"lr": 1e-2},
    "radam": {"lr": 2e-2},
    "rmsprop": {"lr": 1e-2},
    "schedule_free_adamw": {"lr": 1e-2},
    "sophia": {"lr": 1.0},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, targets = load_digits(return_X_y=True)
    return torch.from_numpy(images[:500]).float() / 16, torch.from_numpy(targets[:500]).long()


def recipe(kind: str, **values: Any) -> Any:
    return KINDS[kind](**(BRISK.get(kind, {}) | values))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(64, 24), nn.LayerNorm(24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)
    )


def train(model: nn.Module, optimizer: torch.optim.Optimizer, data: tuple[Tensor, Tensor], steps: range) -> None:
    """Train on 100 examples per step, chosen by the number of the step."""
    train_mode(optimizer)
    for step in steps:
        part = slice(step % 5 * 100, (step % 5 + 1) * 100)
        backward(functional.cross_entropy(model(data[0][part]), data[1][part]), optimizer)
        optimizer.step()
        optimizer.zero_grad()
    eval_mode(optimizer)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def copied(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("lookahead", [Lookahead(), Lookahead(k=5)], ids=["alone", "lookahead"])
@pytest.mark.parametrize("kind", KINDS)
def test_learns_the_digits_to_a_loss_of_a_quarter(kind, lookahead, digits):
    model = network()
    # Every kind ends below 0.11: sums in another order, as on another CPU, do not decide.
    steps = 300 if lookahead.k else 150  # the slow weights move half as far
    train(model, build_optimizer(recipe(kind), model, lookahead=lookahead), digits, range(steps))
    assert functional.cross_entropy(model(digits[0]), digits[1]).item() < 0.25


@pytest.mark.parametrize("lookahead", [Lookahead(), Lookahead(k=4)], ids=["alone", "lookahead"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_continues_bit_by_bit(kind, lookahead, digits):
    model = network()
    optimizer = build_optimizer(recipe(kind), model, lookahead=lookahead)
    train(model, optimizer, digits, range(7))
    saved = copied({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    train(model, optimizer, digits, range(7, 14))

    again = network()
    fresh = build_optimizer(recipe(kind), again, lookahead=lookahead)
    again.load_state_dict(saved["model"])
    fresh.load_state_dict(saved["optimizer"])
    train(again, fresh, digits, range(7, 14))
    assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(again), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_zero_learning_rate_changes_nothing(kind, digits):
    model = network()
    optimizer = build_optimizer(recipe(kind), model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = weights(model)
    train(model, optimizer, digits, range(12))
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_in_the_groups_is_the_one_that_is_applied(kind, digits):
    """Also after loading a state, when the groups are new objects."""
    moved = []
    for share in (1.0, 0.25):
        model = network()
        recipe_ = recipe(kind) if kind not in DECAYING else recipe(kind, weight_decay=0.0)
        optimizer = build_optimizer(recipe_, model)
        optimizer.load_state_dict(copied(optimizer.state_dict()))
        for group in optimizer.param_groups:
            assert group["lr"] == recipe_.lr * group["lr_scale"]
            group["lr"] *= share
        before = weights(model)
        train(model, optimizer, digits, range(1))
        moved.append([(b - a) / share for a, b in zip(before, weights(model), strict=True)])
    for whole, quarter in zip(*moved, strict=True):
        assert whole.abs().max() > 0
        torch.testing.assert_close(quarter, whole, rtol=1e-2, atol=whole.abs().max().item() * 1e-2)


@pytest.mark.parametrize(
    ("kind", "decay"),
    [(kind, decay) for kind in DECAYING for decay in get_args(KINDS[kind].model_fields["decay"].annotation)],
)
def test_decay_shrinks_its_group_and_nothing_else(kind, decay):
    model = network()
    optimizer = build_optimizer(recipe(kind, decay=decay, weight_decay=0.1), model)
    before = weights(model)
    for _ in range(3):  # gradients of exactly zero
        backward(sum(parameter.square().sum() for parameter in model.parameters()) * 0.0, optimizer)
        optimizer.step()
        optimizer.zero_grad()
    eval_mode(optimizer)
    for old, new in zip(before, weights(model), strict=True):
        if decay == "all" or (decay == "matrices" and old.ndim == 2):
            assert new.norm() < old.norm() or old.norm() == 0
        else:
            assert torch.equal(old, new)


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_without_a_gradient_is_left_alone(kind, digits):
    model = network()
    model.unused = nn.Linear(3, 3)
    model.forward = nn.Sequential(*list(model)[:-1]).forward
    optimizer = build_optimizer(recipe(kind), model)
    before = [parameter.clone() for parameter in model.unused.parameters()]
    train(model, optimizer, digits, range(3))
    assert all(torch.equal(a, b) for a, b in zip(before, model.unused.parameters(), strict=True))
