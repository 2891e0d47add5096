"""A task and a loop with objects that cannot be pickled: locks, lambdas, threads, open files, generators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from search_spaces import Recipe
from trainers.tasks import Data, Split

LOCK = threading.Lock()
FILE = Path(__file__).open()  # noqa: SIM115  must stay open
SQUARE = lambda value: value * value  # noqa: E731
ENDLESS = (number for number in iter(int, 1))


class Locked:
    """A task."""

    classes = 2
    shared = threading.RLock()

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.hidden = lambda: 16
        self.thread = threading.local()

    def data(self, seed: int) -> Data:
        with self.lock, LOCK:
            inputs = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
            every = Split(inputs, (inputs[:, :4].sum(1) > inputs[:, 4:].sum(1)).long())
            pool = torch.randperm(200, generator=torch.Generator().manual_seed(seed))
            return Data(every.take(pool[:100]), every.take(pool[100:]), every.take(torch.arange(200, 300)))

    def model(self, recipe: Recipe) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(8, self.hidden()), torch.nn.ReLU(), torch.nn.Linear(16, 2))


def train(config: dict[str, Any], seed: int, state: dict[str, Any] | None = None) -> Iterator[Any]:
    """A loop with a simple state, in a module with unpicklable objects."""
    for epoch in range(1 if state is None else state["epoch"] + 1, config["budget"]["epochs"] + 1):
        with LOCK:
            accuracy = SQUARE(config["optimizer"]["lr"]) * epoch
        yield {"val/accuracy": accuracy}, {"epoch": epoch}
