"""When memory runs out: telling that from other errors, and giving back what can be given back."""

from __future__ import annotations

import gc

import torch

# What is no OutOfMemoryError and says so all the same: torch's allocator on CPUs, cuBLAS and cuDNN, a process that
# trained the run together with others and whose error came as text.
_MARKS = ("out of memory", "OutOfMemoryError", "DefaultCPUAllocator: can't allocate", "_ALLOC_FAILED", "MemoryError")


def memory_ran_out(error: BaseException) -> str | None:
    """Where memory ran out: ``on the device`` or ``on the host``; None for any other error."""
    if isinstance(error, MemoryError):
        return "on the host"
    if isinstance(error, torch.OutOfMemoryError):
        return "on the device"
    text = str(error)
    if not isinstance(error, RuntimeError | OSError) or not any(mark in text for mark in _MARKS):
        return None
    on_host = "DefaultCPUAllocator" in text or " MemoryError" in text or isinstance(error, OSError)
    return "on the host" if on_host else "on the device"


def release() -> None:
    """Give cached memory back, so that a second try does not start where the first one ended."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing where no card was used
