"""Detect real out-of-memory errors, and no others with similar texts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.errors import RunError
from trainers.compute.memory import (
    RankMemoryError,
    copied_model,
    cpu_copy,
    gpu_is_lost,
    memory_ran_out,
    moved,
    release,
)


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
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "on the device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"), "on the host"),
        (RuntimeError("CUSOLVER error: CUSOLVER_STATUS_ALLOC_FAILED"), "on the device"),
        (RankMemoryError("rank 1 of 2 failed during advance:\n...", "on the device"), "on the device"),
        (RunError("rank 1 of 2 failed: its code names OutOfMemoryError"), None),
        (RuntimeError("shape mismatch"), None),
        (ValueError("out of memory is what this text says"), None),
        (KeyError("MemoryError"), None),
    ],
)
def test_errors_by_their_text(error: Exception, where: str | None) -> None:
    assert memory_ran_out(error) == where


def test_release_needs_no_card() -> None:
    assert release() is None  # type: ignore[func-returns-value]  # it raises nothing


@pytest.mark.parametrize("error", [torch.AcceleratorError("device-side assert"), RuntimeError("CUDA error"), None])
def test_a_gpu_is_lost_if_it_no_longer_answers(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    def synchronize() -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert not gpu_is_lost()  # CUDA was never started
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert gpu_is_lost() == (error is not None)


def test_a_snapshot_is_a_copy_that_keeps_types_and_shared_memory() -> None:
    model = nn.BatchNorm1d(3)
    tied = torch.ones(4)
    state = {"model": model.state_dict(), "pair": (tied, tied[1:]), "list": [1, "a", None], "step": torch.tensor(2.0)}
    copied = cpu_copy(state)
    assert type(copied["model"]) is type(state["model"])
    assert copied["model"]._metadata == state["model"]._metadata
    tied.zero_()
    model.weight.data.zero_()
    assert copied["pair"][0].tolist() == [1.0] * 4
    assert copied["model"]["weight"].tolist() == [1.0] * 3
    copied["pair"][0][1] = 5.0
    assert copied["pair"][1][0] == 5.0
    assert copied["list"] == [1, "a", None]
    assert copied["list"] is not state["list"]


def test_moved_tensors_share_memory_as_before() -> None:
    """Test on the CPU what is done with tensors of a GPU."""
    memory: dict[object, object] = {}
    source = torch.arange(12.0).reshape(3, 4)
    views = [source, source.t(), source[1:, ::2], torch.tensor(3, dtype=torch.int64), torch.empty(0)]
    copies = [moved(view, memory) for view in views]
    for view, copied in zip(views, copies, strict=True):
        assert copied.stride() == view.stride()
        assert copied.dtype == view.dtype
        assert torch.equal(copied, view)
    source.zero_()
    assert copies[1][1, 0] == 1.0
    copies[0][1, 0] = 7.0
    assert copies[2][0, 0] == 7.0


def test_a_copied_model_has_its_recurrent_weights_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 3), nn.LSTM(3, 3))
    flattened: list[nn.Module] = []

    def flatten(layer: nn.RNNBase) -> None:
        flattened.append(layer)

    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", flatten)
    copied = copied_model(model)
    assert flattened == [copied[1], copied[2]]
