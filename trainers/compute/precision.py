"""Number formats: autocast, loss scaling, torch.compile and deterministic kernels."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Precision
from trainers.compute.cards import set_workspace
from trainers.compute.rank import Rank
from trainers.optim.modes import backward

_DRIVER = Path("/proc/driver/nvidia/version")
_BF16_SINCE = (8, 0)  # compute capability: Ampere
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(precision: Precision, rank: Rank) -> torch.device:
    """Return the device of a training. Several ranks use one CUDA device each.

    Raises:
        UsageError: The recipe requires CUDA and there is none, or there are more ranks than devices.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if precision.device == "cuda" and not found:
        raise UsageError(
            "precision.device cuda: torch finds no CUDA device; set resources.gpu on a machine with one, or use auto"
        )
    if precision.device == "cpu" or not found:
        return torch.device("cpu")
    if rank.count == 1:
        return torch.device("cuda")
    if found < rank.count:
        raise UsageError(f"resources.processes: {rank.count} processes need {rank.count} CUDA devices, found {found}")
    return torch.device("cuda", rank.index)


def check_precision(precision: Precision, device: torch.device) -> None:
    """Check that a device supports the precision; warn if it only emulates it.

    Raises:
        UsageError: The precision is fp16 and the device is a CPU.
    """
    if precision.kind == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < _BF16_SINCE:
        warnings.warn(
            f"precision.kind: {torch.cuda.get_device_name(device)} only emulates bf16, slowly; use fp16 or fp32",
            stacklevel=2,
        )
    if precision.kind == "fp16" and device.type != "cuda":
        raise UsageError(f"precision.kind fp16 needs CUDA, found {device.type}; use bf16 or fp32")


def gpu_record(device: torch.device) -> dict[str, str]:
    """Return on what a run is trained: the model of the GPU and the versions of its software; empty for a CPU."""
    if device.type != "cuda":
        return {}
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # untyped in torch
    versions = f"driver {_driver()}, CUDA {torch.version.cuda}, cuDNN {cudnn}, TF32 off"
    return {"device": torch.cuda.get_device_name(device), "cuda": versions}


def _driver() -> str:
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", _DRIVER.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "unknown"
    return found[0] if found else "unknown"


@contextmanager
def _full_fp32() -> Iterator[None]:
    """Compute fp32 without TF32 inside the block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class Arithmetic:
    """Forward, backward and optimizer steps of one training in its precision. Loss scaling is active for fp16 only.

    Args:
        precision: Precision section of the recipe.
        device: Device of the model.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._precision = precision
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision.kind == "fp16")
        set_workspace()  # before the first matrix product

    @property
    def skips_steps(self) -> bool:
        """Whether a step with a non-finite gradient is skipped, because the loss scale was too high."""
        return self._scaler.is_enabled()

    def compiled(self, model: nn.Module) -> nn.Module:
        """Return the model, compiled if the recipe says so; both share the same weights."""
        if not self._precision.compile:
            return model
        # torch keeps few compiled forms of one piece of code, and all trainings of a process share them. A training
        # that found no room there would not be compiled, without a word.
        torch.compiler.reset()
        return cast("nn.Module", torch.compile(model))

    def forward(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return the outputs for a batch in fp32, in which the loss is computed."""
        with self.autocast():
            outputs: Tensor = model(inputs)
        return outputs if self._precision.kind == "fp32" else outputs.float()

    def autocast(self) -> torch.autocast:
        """Return the context for a forward pass of the training."""
        kind = self._precision.kind
        return torch.autocast(self._device.type, dtype=_DTYPES[kind], enabled=kind != "fp32")

    def evaluation(self) -> torch.autocast:
        """Return the context for an evaluation: as `autocast`, but in fp32 instead of fp16.

        Large logits overflow in fp16, where nothing scales them, and the training would count as diverged.
        """
        kind = "fp32" if self._precision.kind == "fp16" else self._precision.kind
        return torch.autocast(self._device.type, dtype=_DTYPES[kind], enabled=kind != "fp32")

    def backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Add the gradient of a loss, scaled up under fp16, to the parameters' gradients."""
        backward(self._scaler.scale(loss), optimizer)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Undo the loss scaling of the gradients; call this before reading or clipping them."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update the weights and the loss scale; under fp16 an overflowed gradient skips the update."""
        self._scaler.step(optimizer)
        self._scaler.update()

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """Set the kinds of kernels inside the block as the recipe says, and restore the previous settings.

        fp32 is fp32: torch would use TF32 for convolutions and not for matrix products. `bf16` is for speed.
        """
        with _full_fp32(), self._deterministic():
            yield

    @contextmanager
    def _deterministic(self) -> Iterator[None]:
        if not self._precision.deterministic:
            yield
            return
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
        """Return the state of the loss scaler; empty without fp16."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state)
