"""Time and memory of a device: peaks, copies, out-of-memory errors, and errors after which a GPU is unusable."""

import copy
import gc
from typing import Any, TypeVar

import torch
from torch import Tensor, UntypedStorage, nn

from search_spaces.errors import RunError
from trainers.user_code import text_of

_Module = TypeVar("_Module", bound=nn.Module)
_State = TypeVar("_State")

# Texts of out-of-memory errors of other types: torch's CPU allocator, cuBLAS and cuDNN, and a user's process whose
# error arrives as text.
_MARKS = (
    "out of memory",
    "OutOfMemoryError",
    "DefaultCPUAllocator: can't allocate",
    "_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "MemoryError",
)
_ON_HOST = ("DefaultCPUAllocator", " MemoryError", "HOST_ALLOCATION_FAILED")


class RankMemoryError(RunError):
    """Memory ran out in one of several processes of a run.

    Args:
        message: What happened, with the traceback of the process.
        where: ``on the device`` or ``on the host``.
    """

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


def memory_ran_out(error: BaseException) -> str | None:
    """Return where memory ran out: ``on the device`` or ``on the host``; None for any other error."""
    if isinstance(error, MemoryError):
        return "on the host"
    if isinstance(error, RankMemoryError):
        return error.where
    if isinstance(error, torch.OutOfMemoryError):
        return "on the device"
    text = text_of(error)
    if not isinstance(error, RuntimeError | OSError) or not any(mark in text for mark in _MARKS):
        return None
    on_host = isinstance(error, OSError) or any(mark in text for mark in _ON_HOST)
    return "on the host" if on_host else "on the device"


def release() -> None:
    """Free cached memory before another run or attempt, which may share the GPU with other processes."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing if no GPU was used


def gpu_is_lost() -> bool:
    """Return whether CUDA fails in this process from now on, as after a device assert or an illegal address."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # untyped in torch
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:  # torch.AcceleratorError is one
        return True
    return False


def cpu_copy(value: _State) -> _State:
    """Return a deep copy of a state with its tensors on the CPU, so that no second copy is made on a GPU.

    Tensors that share memory share it in the copy, too.

    Args:
        value: Tensors, plain values, and lists, tuples and dicts of these.
    """
    copied: _State = _cpu_copy(value, {})
    return copied


def _cpu_copy(value: Any, memo: dict[Any, Any]) -> Any:
    if isinstance(value, Tensor) and value.device.type != "cpu" and value.is_leaf:
        return moved(value, memo)
    if isinstance(value, dict):
        copied = copy.copy(value)  # a state_dict has attributes
        for key, item in value.items():
            copied[key] = _cpu_copy(item, memo)
        return copied
    if type(value) in (list, tuple):
        return type(value)(_cpu_copy(item, memo) for item in value)
    return copy.deepcopy(value, memo)


def moved(tensor: Tensor, storages: dict[Any, Any]) -> Tensor:
    """Return a tensor on the CPU.

    Args:
        tensor: Tensor on any device; it is detached.
        storages: Copies of the memory of other tensors by device and address, with which this one may share it.
    """
    memory = tensor.detach().untyped_storage()
    address = (tensor.device, memory.data_ptr())
    if address not in storages:
        empty = UntypedStorage(memory.nbytes())  # type: ignore[no-untyped-call]  # untyped in torch
        storages[address] = empty.copy_(memory)
    place = tensor.storage_offset(), tensor.size(), tensor.stride()
    return torch.empty(0, dtype=tensor.dtype).set_(storages[address], *place)


def copied_model(model: _Module) -> _Module:
    """Return a deep copy of a model whose recurrent layers keep their weights in one piece, as cuDNN needs them."""
    copied = copy.deepcopy(model)
    flatten_recurrent(copied)
    return copied


def flatten_recurrent(model: nn.Module) -> None:
    """Put the weights of each recurrent layer of a copied model in one piece again; does nothing on a CPU."""
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()


def wait_for(device: torch.device) -> None:
    """Return when a GPU has done everything that it was given, so that the time of that can be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Restart the measurement of ``peak_memory``."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the peak of the tensors' memory on a GPU, in bytes; empty for a CPU, where torch does not measure it."""
    return {"train/peak_memory": float(torch.cuda.max_memory_allocated(device))} if device.type == "cuda" else {}
