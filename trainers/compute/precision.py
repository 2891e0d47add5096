"""Number formats: autocast, loss scaling, torch.compile and deterministic kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Precision
from trainers.compute.rank import Rank
from trainers.optim.modes import backward

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(precision: Precision, rank: Rank) -> torch.device:
    """Return where a training happens; every one of several ranks has a device of its own.

    Raises:
        UsageError: The recipe asks for CUDA and there is none, or there are more ranks than devices.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if precision.device == "cuda" and not found:
        raise UsageError("precision.device cuda: torch finds no CUDA device here; use auto or cpu")
    if precision.device == "cpu" or not found:
        return torch.device("cpu")
    if rank.count == 1:
        return torch.device("cuda")
    if found < rank.count:
        raise UsageError(f"resources.processes: {rank.count} need as many CUDA devices, found {found}")
    return torch.device("cuda", rank.index)


def check_precision(precision: Precision, device: torch.device) -> None:
    """Refuse what a device cannot do.

    Raises:
        UsageError: fp16 on a CPU.
    """
    if precision.kind == "fp16" and device.type != "cuda":
        raise UsageError(f"precision.kind fp16 needs CUDA, found {device.type}; use bf16 or fp32")


class Arithmetic:
    """How one training calculates.

    Without fp16 the scaler is switched off, and passes everything on as it is.

    Args:
        precision: The recipe's.
        device: Of the model.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._precision = precision
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision.kind == "fp16")

    @property
    def skips_steps(self) -> bool:
        """Whether a gradient that is not finite costs a step and nothing else: the loss scale was too high."""
        return self._scaler.is_enabled()

    def compiled(self, model: nn.Module) -> nn.Module:
        """Return what to train through: the model itself, or the same weights behind compiled code."""
        return cast("nn.Module", torch.compile(model)) if self._precision.compile else model

    def forward(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return the logits of a batch; those of a lower precision as fp32, in which the loss is computed."""
        with self.autocast():
            logits: Tensor = model(inputs)
        return logits if self._precision.kind == "fp32" else logits.float()

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass."""
        kind = self._precision.kind
        return torch.autocast(self._device.type, dtype=_DTYPES[kind], enabled=kind != "fp32")

    def backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Add the gradient of a loss, scaled up under fp16, to the parameters'."""
        backward(self._scaler.scale(loss), optimizer)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Scale the gradients back, before anything reads or clips them."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update the weights; under fp16 not when the gradient overflowed, and adapt the scale."""
        self._scaler.step(optimizer)
        self._scaler.update()

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """Choose deterministic kernels inside the block if the recipe asks for them, and put back what was."""
        if not self._precision.deterministic:
            yield
            return
        # cuBLAS reads this when it is first used; without it a deterministic matrix product is refused.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        before = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        benchmark = torch.backends.cudnn.benchmark
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
            torch.backends.cudnn.benchmark = benchmark

    def state_dict(self) -> dict[str, Any]:
        """Return the loss scale and how it got there; nothing without fp16."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state)
