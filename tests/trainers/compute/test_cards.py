"""Which GPUs a process sees; only the card itself is replaced."""

from __future__ import annotations

import os

import pytest
import torch

from search_spaces.errors import RunError, UsageError
from trainers.compute.cards import cuda_environment, prepare_cuda, take_environment, use_share


def test_a_run_without_a_share_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    prepare_cuda(0.5)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    prepare_cuda(0.0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("gpu", [0.0, 1.0])
def test_cublas_can_repeat_its_results_from_its_first_use(monkeypatch: pytest.MonkeyPatch, gpu: float) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    prepare_cuda(gpu)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # what the user has chosen stays
    prepare_cuda(gpu)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_it_is_too_late_to_hide_gpus_once_cuda_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    prepare_cuda(1.0)
    with pytest.raises(RunError, match=r"^resources\.gpu: 0, but this process has started CUDA"):
        prepare_cuda(0.0)


def test_another_process_of_the_run_gets_the_same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    hidden = cuda_environment()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    take_environment(hidden)
    assert cuda_environment() == hidden == {"CUDA_VISIBLE_DEVICES": "", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    take_environment({})
    assert cuda_environment() == {}


@pytest.mark.parametrize(
    ("gpu", "device", "cards", "allowed"),
    [
        (0.0, "auto", False, True),
        (0.25, "auto", True, True),
        (0.25, "auto", False, False),
        (2.0, "cuda", False, False),
        (1.0, "cpu", False, True),  # the recipe says so
    ],
)
def test_a_share_of_a_gpu_never_means_a_cpu(monkeypatch, gpu, device, cards, allowed) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards)
    fractions: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    if allowed:
        use_share(gpu, device)
        assert fractions == ([gpu] if cards else [])
        return
    with pytest.raises(UsageError, match=rf"^resources\.gpu: {gpu:g} of a GPU, but torch .* finds no CUDA device .*0 "):
        use_share(gpu, device)
