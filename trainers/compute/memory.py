"""Time and peak memory of a device, and detection of and recovery from out-of-memory errors."""

import gc

import torch

from trainers.user_code import text_of

# Texts of out-of-memory errors of other types: torch's CPU allocator, cuBLAS and cuDNN, and a rank whose error arrives
# as text.
_MARKS = ("out of memory", "OutOfMemoryError", "DefaultCPUAllocator: can't allocate", "_ALLOC_FAILED", "MemoryError")


def memory_ran_out(error: BaseException) -> str | None:
    """Return where memory ran out: ``on the device`` or ``on the host``; None for any other error."""
    if isinstance(error, MemoryError):
        return "on the host"
    if isinstance(error, torch.OutOfMemoryError):
        return "on the device"
    text = text_of(error)
    if not isinstance(error, RuntimeError | OSError) or not any(mark in text for mark in _MARKS):
        return None
    on_host = "DefaultCPUAllocator" in text or " MemoryError" in text or isinstance(error, OSError)
    return "on the host" if on_host else "on the device"


def release() -> None:
    """Free cached memory before another attempt."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing if no GPU was used


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
