"""Small tasks of four kinds of models, and jobs, for tests that run on a GPU; on a CPU where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Precision, Recipe, Regularization
from sweeps.engine.messages import Job, Step
from sweeps.runners.worker import Worker
from trainers.loop.training import Training
from trainers.storage import checkpoints
from trainers.tasks import Data, Split

DEVICE: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
HERE = "tests.gpu.helpers"
SHAPES = {"mlp": (6,), "cnn": (2, 8, 8), "gru": (5, 4), "transformer": (5, 8)}

needs_card = pytest.mark.skipif(DEVICE == "cpu", reason="the CPU has no counterpart of this")


class LastState(nn.Module):
    """A GRU with dropout between its layers, of which only the last state is read."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.cells = nn.GRU(4, 6, num_layers=2, dropout=dropout, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.cells(inputs)[0][:, -1])
        return logits


def network(kind: str, dropout: float) -> nn.Module:
    if kind == "mlp":
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))
    if kind == "cnn":
        body = (nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(dropout))
        return nn.Sequential(*body, nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    if kind == "gru":
        return LastState(dropout)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 3))


@dataclass
class Examples:
    """Noisy examples of three classes, for a kind of model."""

    kind: str = "mlp"
    classes: int = 3

    def data(self, seed: int) -> Data:
        generator = torch.Generator().manual_seed(5)
        targets = torch.randint(0, 3, (140,), generator=generator)
        inputs = torch.randn(140, *SHAPES[self.kind], generator=generator)
        inputs += targets.reshape(-1, *[1] * len(SHAPES[self.kind])) / 2
        every = Split(inputs, targets)
        train, val, test = torch.arange(140).split([80, 30, 30])
        return Data(every.take(train), every.take(val), every.take(test))

    def model(self, recipe: Recipe) -> nn.Module:
        return network(self.kind, recipe.regularization.dropout)


@dataclass
class TooLarge(Examples):
    """Needs more memory than any machine has."""

    def model(self, recipe: Recipe) -> nn.Module:
        torch.empty(2**60, dtype=torch.uint8, device=DEVICE)
        return super().model(recipe)


def recipe(epochs: int = 2, dropout: float = 0.3, optimizer: Any = None, **parts: Any) -> Recipe:
    precision = parts.pop("precision", {})
    return Recipe(
        optimizer=optimizer or AdamW(lr=0.01),
        regularization=parts.pop("regularization", Regularization(dropout=dropout, clip_norm=1.0)),
        precision=Precision(**{"device": DEVICE, **precision}),
        budget=Budget(epochs=epochs, batch_size=10),
        **parts,
    )


def metrics(training: Training) -> list[dict[str, float]]:
    """Train to the end; return the metrics of the epochs, without durations and memory."""
    found = []
    while not training.finished:
        report = training.run_epoch()
        found.append({n: v for n, v in report.metrics.items() if "second" not in n and "memory" not in n})
    return found


def stored(training: Training) -> dict[str, Any]:
    """Return the snapshot of a training as a checkpoint stores it."""
    return checkpoints.decode(checkpoints.encode(training.state_dict()), "test")


def job(task: str = f"{HERE}:Examples", folder: Path | None = None, **changes: Any) -> Job:
    parts: dict[str, Any] = {
        "number": 0,
        "task": task,
        "recipe": recipe().model_dump(mode="json"),
        "seed": 3,
        "rungs": (),
        "directory": "" if folder is None else str(folder),
        "checkpoint_every_s": 1000.0,
        "threads": 1,
        "recorded": 99,
        "gpu": float(DEVICE == "cuda"),
    }
    return Job(**(parts | changes))


def last_step(worker: Worker, one: Job) -> Step:
    """Train a job to its end or error."""
    worker.start(one)
    while True:
        step = worker.step()
        if step.finished or step.error is not None:
            return step
