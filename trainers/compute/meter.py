"""Measures what a run uses: time, CPU time, memory and energy. Loads no torch."""

import math
import multiprocessing
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from trainers.usage import Usage

_CPU_INFO = Path("/proc/cpuinfo")
_OWN_GPUS = "CUDA_VISIBLE_DEVICES"


class Meter:
    """Measures one start of a run, from its creation on.

    Args:
        gpu: Number of GPUs of the run, or a share of one.
        starts_processes: Whether the run is trained by other processes, which count, too. Those that
            `multiprocessing` has started here count in any case.
    """

    def __init__(self, gpu: float, starts_processes: bool = False) -> None:
        self._gpu = gpu
        self._starts_processes = starts_processes
        self._began = time.perf_counter()
        self._process = psutil.Process()
        self._cards = GpuCards(os.environ.get(_OWN_GPUS), math.ceil(gpu)) if gpu else None
        self._energy_before = self._cards.energy_j() if self._cards else None
        self._cpu_before = self._sampled()[0]
        self._cpu_s = 0.0
        self._peak = 0

    def read(self, parameters: int | None = None) -> Usage:
        """Return what the run has used so far.

        Args:
            parameters: Number of parameters of its model, if known.
        """
        cpu, memory = self._sampled()
        self._cpu_s = max(self._cpu_s, cpu - self._cpu_before)  # a process that nobody waits for takes its time along
        self._peak = max(self._peak, memory)
        name = self._cards.name if self._cards else None
        return Usage(
            hardware=name or ("GPU" if self._gpu else cpu_model()),
            gpus=self._gpu,
            seconds=time.perf_counter() - self._began,
            cpu_seconds=self._cpu_s,
            peak_memory=self._peak,
            parameters=parameters,
            energy_j=self._energy(),
        )

    def _sampled(self) -> tuple[float, int]:
        """Return the CPU time in seconds and the memory in bytes of this process and those that it has started."""
        own = os.times()
        seconds, memory = own[0] + own[1] + own[2] + own[3], self._process.memory_info().rss
        for child in self._children():
            with suppress(psutil.Error):  # it has just ended
                times = child.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
                memory += child.memory_info().rss
        return seconds, memory

    def _children(self) -> Sequence[psutil.Process]:
        # To look for them costs milliseconds on a machine with many processes, so only where there are some.
        if not self._starts_processes and not multiprocessing.active_children():
            return ()
        return self._process.children(recursive=True)

    def _energy(self) -> float | None:
        now = self._cards.energy_j() if self._cards else None
        if now is None or self._energy_before is None:
            return None
        return (now - self._energy_before) * min(1.0, self._gpu)


class GpuCards:
    """The GPUs that a process may use, as NVML knows them; none if there is no NVML.

    Args:
        visible: Value of ``CUDA_VISIBLE_DEVICES``: indices or UUIDs; None for all GPUs.
        count: Number of GPUs that it uses, the first ones of these.
    """

    def __init__(self, visible: str | None, count: int) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        self.name: str | None = None
        with suppress(Exception):  # NVML raises its own errors, and ImportError or OSError without a driver
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [_handle(pynvml, one) for one in _listed(pynvml, visible)[:count]]
            names = sorted({str(pynvml.nvmlDeviceGetName(handle)) for handle in self._handles})
            self.name = " + ".join(names) or None

    def energy_j(self) -> float | None:
        """Return the energy that the GPUs have used since their driver was loaded, in joules; None if unknown."""
        if not self._handles:
            return None
        with suppress(Exception):  # older cards do not measure it
            return float(sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(one) for one in self._handles)) / 1000
        return None


def _listed(nvml: Any, visible: str | None) -> list[str]:
    if visible is None:
        return [str(index) for index in range(nvml.nvmlDeviceGetCount())]
    return [one.strip() for one in visible.split(",") if one.strip()]


def _handle(nvml: Any, device: str) -> Any:
    return nvml.nvmlDeviceGetHandleByIndex(int(device)) if device.isdigit() else nvml.nvmlDeviceGetHandleByUUID(device)


@cache
def cpu_model() -> str:
    """Return the model of the CPU of this machine, such as ``AMD EPYC 9654``."""
    with suppress(OSError):
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"
