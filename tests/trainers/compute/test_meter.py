"""What a run uses; real processes, and an NVML that exists only here."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from trainers.compute import meter
from trainers.compute.meter import GpuCards, Meter, cpu_model

BURNS = "import time; x = bytearray(200 << 20); end = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
BURNS_THEN_WAITS = f"{BURNS}\nprint('done', flush=True); time.sleep(60)"


class Cards:
    """Two cards whose energy counters only the test advances, in millijoules."""

    def __init__(self) -> None:
        self.energy = {"0": 1_000_000, "1": 5_000_000}
        self.measures = True
        self.nvml = SimpleNamespace(
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=str,
            nvmlDeviceGetHandleByUUID={"GPU-aa": "0", "GPU-bb": "1"}.__getitem__,
            nvmlDeviceGetName={"0": "NVIDIA A", "1": "NVIDIA B"}.__getitem__,
            nvmlDeviceGetTotalEnergyConsumption=self._energy_of,
        )

    def _energy_of(self, handle: str) -> int:
        if not self.measures:
            raise RuntimeError("not supported")
        return self.energy[handle]


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Cards:
    two = Cards()
    monkeypatch.setitem(sys.modules, "pynvml", two.nvml)
    return two


def test_a_run_without_a_gpu_names_its_cpu() -> None:
    began = Meter(0.0)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    found = began.read(12)
    assert (found.hardware, found.gpus, found.parameters, found.energy_j) == (cpu_model(), 0.0, 12, None)
    assert found.cpu_seconds >= 0.15
    assert found.seconds >= 0.2
    assert found.peak_memory >= psutil.Process().memory_info().rss / 2


def test_the_processes_of_a_run_count() -> None:
    alone, both = Meter(0.0), Meter(0.0, starts_processes=True)
    child = subprocess.Popen([sys.executable, "-c", BURNS_THEN_WAITS], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        assert both.read().cpu_seconds >= alone.read().cpu_seconds + 0.9
        assert both.read().peak_memory >= alone.read().peak_memory + (190 << 20)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert alone.read().cpu_seconds >= 0.9  # it has ended, and counts as a child that was waited for


def test_what_was_used_never_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Meter(0.0)
    samples = iter([(one._cpu_before + 5.0, 100), (one._cpu_before + 3.0, 50)])
    monkeypatch.setattr(one, "_sampled", lambda: next(samples))
    assert [(use.cpu_seconds, use.peak_memory) for use in (one.read(), one.read())] == [(5.0, 100), (5.0, 100)]


@pytest.mark.parametrize(
    ("visible", "gpu", "name", "joules"),
    [
        (None, 2.0, "NVIDIA A + NVIDIA B", 30.0),
        (None, 1.0, "NVIDIA A", 10.0),  # the first one of those that it sees
        ("1", 1.0, "NVIDIA B", 20.0),
        ("GPU-bb", 0.25, "NVIDIA B", 5.0),
    ],
)
def test_the_energy_of_its_share_of_the_gpus(
    visible: str | None, gpu: float, name: str, joules: float, cards: Cards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    one = Meter(gpu)
    cards.energy = {"0": 1_010_000, "1": 5_020_000}
    found = one.read()
    assert (found.hardware, found.gpus, found.energy_j) == (name, gpu, joules)


def test_a_card_that_does_not_measure_energy_has_a_name(cards: Cards) -> None:
    cards.measures = False
    found = GpuCards("0", 1)
    assert (found.name, found.energy_j()) == ("NVIDIA A", None)


def test_without_nvml_nothing_is_known_about_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace())
    found = Meter(1.0).read()
    assert (found.hardware, found.energy_j) == ("GPU", None)


def test_the_model_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    monkeypatch.setattr(meter, "_CPU_INFO", info)
    assert cpu_model.__wrapped__() == "Some CPU @ 2 GHz"
    info.unlink()
    assert cpu_model.__wrapped__()
