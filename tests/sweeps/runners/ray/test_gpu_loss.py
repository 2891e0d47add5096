"""A worker of Ray whose GPU has failed ends, so that Tune reports its death and the run is tried again."""

from __future__ import annotations

import os

import pytest

from sweeps.engine.messages import Step
from sweeps.runners.ray.runner import _ending_without_gpu
from sweeps.runners.worker import GpuLostError


def test_the_process_ends_after_it_has_printed_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    with _ending_without_gpu():
        raise GpuLostError(Step(error="CUDA error: device-side assert triggered"))
    assert ends == [1]
    assert capsys.readouterr().err.startswith("CUDA error: device-side assert triggered\nthis process ends")


def test_other_errors_are_those_of_the_worker() -> None:
    with pytest.raises(KeyError), _ending_without_gpu():
        raise KeyError("x")
