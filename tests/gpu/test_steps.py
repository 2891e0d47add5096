"""A step on a GPU never makes the CPU wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.optimizers import SGD, AdamW, Muon, NAdam
from search_spaces.recipe.recipe import Regularization
from tests.gpu.helpers import DEVICE, SHAPES, Examples, recipe
from trainers.loop.training import Training

pytestmark = pytest.mark.gpu


@contextmanager
def no_waiting() -> Iterator[None]:
    if DEVICE == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"precision": {"kind": "bf16"}},
        {"averaging": EMA(decay=0.9)},
        {"regularization": Regularization(mixup=0.4, clip_value=0.1, label_smoothing=0.1)},
        {"optimizer": SGD(lr=0.1)},
        {"optimizer": NAdam(lr=0.001)},
        {"optimizer": Muon(lr=0.001)},
        {"optimizer": AdamW(lr=0.001), "regularization": Regularization(clip_norm=0.1, dropout=0.2)},
    ],
    ids=["plain", "bf16", "ema", "mixup", "sgd", "nadam", "muon", "clip"],
)
def test_no_step_waits(kind: str, parts: dict[str, Any]) -> None:
    """Adafactor is left out: torch's own reads norms of the weights at every step."""
    if kind == "cnn" and isinstance(parts.get("optimizer"), Muon):
        parts = {}  # it has no matrix for Muon
    training = Training(recipe(1, **parts), Examples(kind), 0)
    training.advance(2)  # starts cuBLAS and makes the state of the optimizer
    progress = training._progress
    assert progress is not None
    with training._arithmetic.kernels(), no_waiting():
        training._train(progress, 3)
    assert progress.done == 5
