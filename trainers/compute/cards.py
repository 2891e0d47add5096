"""Which GPUs a process may use, and what CUDA reads when it starts. Loads torch only for a run that has a GPU."""

import os
import sys
from collections.abc import Mapping
from typing import Final, Literal

from search_spaces.errors import RunError, UsageError

HIDDEN: Final = {"CUDA_VISIBLE_DEVICES": ""}
"""The environment variable that hides all GPUs from a process that has not started CUDA."""

# cuBLAS reads it at its first use, and without it a deterministic matrix product raises an error. So it is set for
# every run: one without `deterministic` may come first in the same process.
_WORKSPACE: Final = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
_READ_BY_CUDA: Final = (*HIDDEN, _WORKSPACE[0])


def prepare_cuda(gpu: float) -> None:
    """Set the environment that CUDA reads when it starts; hide all GPUs from a run without a share of one.

    Call this before any code of a user is imported, since that may start CUDA.

    Args:
        gpu: `resources.gpu` of the run.

    Raises:
        RunError: The run has no share of a GPU, and CUDA has been started already.
    """
    set_workspace()
    if gpu:
        return
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise RunError("resources.gpu: 0, but this process has started CUDA; train the run in another process")
    os.environ |= HIDDEN


def set_workspace() -> None:
    """Let cuBLAS use a workspace with which its results repeat."""
    os.environ.setdefault(*_WORKSPACE)


def cuda_environment() -> dict[str, str]:
    """Return what this process has set for CUDA, for another process of the same run."""
    return {name: os.environ[name] for name in _READ_BY_CUDA if name in os.environ}


def take_environment(environment: Mapping[str, str]) -> None:
    """Set what `cuda_environment` returned in the process that starts this one."""
    for name in _READ_BY_CUDA:
        os.environ.pop(name, None)
    os.environ |= environment


def use_share(gpu: float, device: Literal["auto", "cpu", "cuda"]) -> None:
    """Limit this process to its share of a GPU, and check that a run with a share does not train on a CPU.

    The limit holds for the tensors of this process; CUDA itself takes some hundred megabytes per process beside them.

    Args:
        gpu: `resources.gpu` of the run.
        device: `precision.device` of its recipe.

    Raises:
        UsageError: torch finds no GPU, and the recipe does not ask for a CPU.
    """
    if not gpu or device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            f"resources.gpu: {gpu:g} of a GPU, but torch {torch.__version__} finds no CUDA device on this machine;"
            " install a torch with CUDA and a driver, or set resources.gpu to 0 to train on CPUs"
        )
    if gpu < 1:
        torch.cuda.set_per_process_memory_fraction(gpu)
