"""Precision, determinism and snapshots of trainings on a GPU."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch

from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.optimizers import Optimizer
from search_spaces.recipe.recipe import Recipe, Regularization
from tests.gpu.helpers import DEVICE, SHAPES, Examples, metrics, network, recipe, stored
from trainers.compute.precision import Arithmetic
from trainers.loop import training as training_module
from trainers.loop.training import Training

pytestmark = pytest.mark.gpu
KINDS = {part.model_fields["kind"].default: part for part in get_args(get_args(Optimizer)[0])}


@pytest.fixture(autouse=True)
def _any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setattr(training_module, "check_precision", lambda precision, device: None)


def weights(training: Training) -> list[torch.Tensor]:
    return [parameter.detach().cpu().clone() for parameter in training.model.parameters()]


def test_fp16_is_unscaled_before_it_is_clipped() -> None:
    clip = Regularization(dropout=0.0, clip_norm=0.2)
    fp16 = Training(recipe(regularization=clip, precision={"kind": "fp16"}), Examples(), 0)
    fp32 = Training(recipe(regularization=clip), Examples(), 0)
    for half, full in zip(metrics(fp16), metrics(fp32), strict=True):
        assert half["train/grad_norm"] == pytest.approx(full["train/grad_norm"], rel=0.05)
        assert half["val/nll"] == pytest.approx(full["val/nll"], rel=0.02)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_overflow_skips_the_step_and_lowers_the_scale(accumulation: int) -> None:
    plan = recipe(precision={"kind": "fp16"})
    plan = plan.model_copy(update={"budget": plan.budget.model_copy(update={"accumulation": accumulation})})
    training = Training(plan, Examples(), 0)
    training._arithmetic._scaler = torch.amp.GradScaler(DEVICE, init_scale=2.0**40)
    before = weights(training)
    training.advance(1)
    assert all(map(torch.equal, before, weights(training)))
    scale = stored(training)["scaler"]["scale"]
    assert scale == 2.0**39
    again = Training(plan, Examples(), 0)
    again.load_state_dict(stored(training))
    assert stored(again)["scaler"] == stored(training)["scaler"]
    assert all(math.isfinite(value) for epoch in metrics(again) for value in epoch.values())


def test_bf16_learns_like_fp32() -> None:
    bf16, fp32 = (metrics(Training(recipe(4, precision={"kind": kind}), Examples(), 0)) for kind in ("bf16", "fp32"))
    assert bf16 != fp32
    assert bf16[-1]["train/loss"] == pytest.approx(fp32[-1]["train/loss"], rel=0.1)
    assert bf16[-1]["train/loss"] < bf16[0]["train/loss"]


@pytest.mark.parametrize("kind", SHAPES)
def test_a_gpu_and_a_cpu_agree_without_tf32(kind: str) -> None:
    here, there = (
        metrics(Training(recipe(dropout=0.0, precision={"device": device}), Examples(kind), 0))
        for device in ("cpu", DEVICE)
    )
    for one, other in zip(here, there, strict=True):
        assert other["val/nll"] == pytest.approx(one["val/nll"], rel=1e-3)
        assert other["train/grad_norm"] == pytest.approx(one["train/grad_norm"], rel=1e-3)


def test_compiled_trainings_agree_with_eager_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":  # the default backend needs a compiler and half a minute
        original = torch.compile
        monkeypatch.setattr(torch, "compile", lambda model: original(model, backend="eager"))
    compiled, plain = (
        metrics(Training(recipe(1, 0.0, precision={"compile": on}), Examples(), 0)) for on in (True, False)
    )
    assert compiled[0]["val/nll"] == pytest.approx(plain[0]["val/nll"], rel=1e-3)


def test_ten_widths_are_all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: original(model, backend=backend, dynamic=False))
    arithmetic = Arithmetic(recipe(precision={"compile": True}).precision, torch.device(DEVICE))
    for width in range(2, 12):
        model = torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU()).to(DEVICE)
        arithmetic.compiled(model)(torch.ones(2, 3, device=DEVICE))
    assert len(graphs) == 10


# --- deterministic ----------------------------------------------------------------------------------------------

DETERMINISTIC = recipe(3, precision={"deterministic": True}, averaging=EMA(decay=0.9))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("steps", [3, 8], ids=["within_an_epoch", "between_epochs"])
def test_a_resumed_training_is_bit_identical(kind: str, steps: int) -> None:
    whole = metrics(Training(DETERMINISTIC, Examples(kind), 1))
    first = Training(DETERMINISTIC, Examples(kind), 1)
    first.advance(steps)
    state = stored(first)
    second = Training(DETERMINISTIC, Examples(kind), 1)
    second.load_state_dict(state)
    found = metrics(second)
    assert found == whole[len(whole) - len(found) :]


def test_a_deterministic_training_may_follow_another_one() -> None:
    expected = metrics(Training(DETERMINISTIC, Examples("cnn"), 1))
    metrics(Training(recipe(), Examples("cnn"), 1))
    assert metrics(Training(DETERMINISTIC, Examples("cnn"), 1)) == expected
    assert not torch.are_deterministic_algorithms_enabled()


def test_masks_of_dropout_repeat_per_seed_and_differ_per_epoch() -> None:
    one, same, other = (metrics(Training(DETERMINISTIC, Examples(), seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_checkpoint_continues_on_the_other_device_and_back() -> None:
    def plan(device: str) -> Recipe:
        return recipe(3, 0.0, precision={"device": device})

    expected = metrics(Training(plan("cpu"), Examples("cnn"), 0))[-1]
    state, found = None, {}
    for device, steps in ((DEVICE, 8), ("cpu", 3), (DEVICE, 99), ("cpu", 99)):  # 8 steps are an epoch
        training = Training(plan(device), Examples("cnn"), 0)
        if state is not None:
            training.load_state_dict(state)
        report = training.advance(steps)
        found = report.metrics if report else {}
        state = stored(training)
        assert all(value.device.type == "cpu" for value in training.state_dict()["model"].values())
    assert training.finished
    assert found["val/nll"] == pytest.approx(expected["val/nll"], rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_goes_on_after_three_steps(kind: str) -> None:
    plan = recipe(1, optimizer=KINDS[kind](lr=1e-3), precision={"deterministic": True})
    if kind == "sophia":  # its second derivative has no deterministic kernel for every operation
        plan = plan.model_copy(update={"precision": recipe().precision})
    whole = Training(plan, Examples(), 2)
    expected = metrics(whole)
    first = Training(plan, Examples(), 2)
    first.advance(3)
    second = Training(plan, Examples(), 2)
    second.load_state_dict(stored(first))
    [found] = metrics(second)
    assert found == pytest.approx(expected[0], rel=1e-5, nan_ok=True)
    assert all(map(torch.equal, weights(second), weights(whole))) or kind == "sophia"


def test_the_network_of_every_kind_has_three_classes() -> None:
    for kind, shape in SHAPES.items():
        model = network(kind, 0.0).to(DEVICE)
        assert model(torch.zeros(2, *shape, device=DEVICE)).shape == (2, 3)
