"""Detect real out-of-memory errors, and no others with similar texts."""

from __future__ import annotations

import pytest
import torch

from trainers.compute.memory import memory_ran_out, release


def caught(raises: object) -> BaseException:
    try:
        raises()  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError


def test_torchs_own_allocator_on_a_cpu() -> None:
    error = caught(lambda: torch.empty(2**60, dtype=torch.uint8))
    assert isinstance(error, RuntimeError)
    assert memory_ran_out(error) == "on the host"


def test_pythons_own() -> None:
    assert memory_ran_out(caught(lambda: bytearray(2**62))) == "on the host"


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), "on the device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "on the device"),
        (RuntimeError("a process raised:\ntorch.OutOfMemoryError: CUDA out of memory"), "on the device"),
        (OSError(12, "Cannot allocate memory: out of memory"), "on the host"),
        (RuntimeError("shape mismatch"), None),
        (ValueError("out of memory is what this text says"), None),
        (KeyError("MemoryError"), None),
    ],
)
def test_errors_by_their_text(error: Exception, where: str | None) -> None:
    assert memory_ran_out(error) == where


def test_release_needs_no_card() -> None:
    assert release() is None  # type: ignore[func-returns-value]  # it raises nothing
