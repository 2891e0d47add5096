"""Training loops as users may write them, valid and broken. Formulas replace training, so that epochs are fast."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

State = dict[str, Any] | None
Epochs = Iterator[tuple[dict[str, float], dict[str, int]]]


def _epochs(config: dict[str, Any], state: State) -> Iterator[tuple[int, float]]:
    """Yield the remaining epochs with an accuracy that is highest at a learning rate of 1e-2."""
    plateau = math.exp(-((math.log10(config["optimizer"]["lr"]) + 2) ** 2))
    for epoch in range(1 if state is None else state["epoch"] + 1, config["budget"]["epochs"] + 1):
        time.sleep(config["custom"].get("pause", 0.0))
        yield epoch, plateau * (1 - 0.6**epoch)


def paced(config: dict[str, Any], seed: int, state: State = None) -> Epochs:
    """A valid loop."""
    for epoch, accuracy in _epochs(config, state):
        yield {"val/accuracy": accuracy, "train/loss": 2.5 - accuracy}, {"epoch": epoch}


ODD = {"nan": math.nan, "inf": math.inf, "minus inf": -math.inf, "huge": 1e308, "tiny": 5e-324, "minus huge": -1e308}


def odd(config: dict[str, Any], seed: int, state: State = None) -> Epochs:
    """Reports an extreme or non-finite number in its third epoch, as the metric of the sweep or another metric."""
    kind, where = config["custom"]["odd"], config["custom"]["where"]
    for epoch, accuracy in _epochs(config, state):
        metrics = {"val/accuracy": accuracy, "train/loss": 2.5 - accuracy}
        if epoch == 3 and kind in ODD:
            metrics[where] = ODD[kind]
        yield metrics, {"epoch": epoch}


def raises(config: dict[str, Any], seed: int, state: State = None) -> Epochs:
    """Raises in its fourth epoch, with a text that few databases can store unchanged."""
    for epoch, accuracy in _epochs(config, state):
        if epoch == 4 and config["custom"]["bad"]:
            raise RuntimeError(f"a zero \0 and half a character {chr(0xD800)} in run of seed {seed}")
        yield {"val/accuracy": accuracy}, {"epoch": epoch}


def hangs(config: dict[str, Any], seed: int, state: State = None) -> Epochs:
    """Hangs in its second epoch."""
    for epoch, accuracy in _epochs(config, state):
        while epoch == 2 and config["custom"]["bad"]:
            time.sleep(3600)
        yield {"val/accuracy": accuracy}, {"epoch": epoch}


def greedy(config: dict[str, Any], seed: int, state: State = None) -> Epochs:
    """Runs out of memory in its third epoch: never, the first time, or always; of the machine or of a GPU."""
    kind = config["custom"]["memory"]
    tried = Path(os.environ["FAULT_FOLDER"]) / f"tried-{kind}"
    for epoch, accuracy in _epochs(config, state):
        if epoch == 3 and not (kind == "never" or (kind.startswith("once") and tried.exists())):
            tried.touch()
            _gpu_is_full() if "gpu" in kind else _memory_is_full()
        yield {"val/accuracy": accuracy}, {"epoch": epoch}


def _gpu_is_full() -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _memory_is_full() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20, before[1]))
    try:
        bytearray(8 * 2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
