"""What one start of a run has used of its machine. Imports no torch, because the driver reads it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What one start of a run has used so far, repeated and unfinished epochs included.

    Attributes:
        hardware: Model of its GPU, or of the CPU of a run without one.
        gpus: Number of GPUs that it held, or a share of one.
        seconds: Wall time since it started, which it held its CPUs and GPUs for.
        cpu_seconds: CPU time of its processes.
        peak_memory: Largest main memory of its processes in bytes, of what was sampled about twice a second.
        parameters: Number of parameters of its model, frozen ones included; None for a command and a user's own loop.
        energy_j: Energy of its GPUs in joules, by its share of them; None without NVML or a GPU that measures it.
    """

    hardware: str
    gpus: float
    seconds: float
    cpu_seconds: float
    peak_memory: int
    parameters: int | None = None
    energy_j: float | None = None
