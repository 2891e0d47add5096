"""Training loops of a user for test_processes.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def asserts(config: dict[str, Any], seed: int, state: Any = None) -> Iterator[dict[str, float]]:
    """Read outside of a tensor: on a GPU, CUDA fails in this process from then on."""
    yield {"val/x": 1.0}
    values = torch.zeros(3, device=DEVICE)
    yield {"val/x": values[torch.tensor([7], device=DEVICE)].item()}


def sees(config: dict[str, Any], seed: int, state: Any = None) -> Iterator[dict[str, float]]:
    while True:
        yield {"val/x": float(torch.cuda.device_count())}


def pinned(config: dict[str, Any], seed: int, state: Any = None) -> Iterator[dict[str, float]]:
    """Load batches in worker processes into pinned memory."""
    data = TensorDataset(torch.arange(40.0).unsqueeze(1))
    loader = DataLoader(data, batch_size=8, num_workers=2, pin_memory=DEVICE == "cuda", persistent_workers=True)
    while True:
        batches = [batch.to(DEVICE, non_blocking=True) for (batch,) in loader]
        yield {"val/x": torch.cat(batches).sum().item()}


def plain(config: dict[str, Any], seed: int, state: Any = None) -> Iterator[dict[str, float]]:
    while True:
        yield {"val/x": torch.ones(3, device=DEVICE).sum().item()}
