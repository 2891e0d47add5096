"""The state of a training between two reports: how many steps are done, and what it has measured so far."""

from typing import Any

import torch
from torch import Tensor

from trainers.compute.memory import cpu_copy
from trainers.loop.gradient_stats import GradientStats


class EpochProgress:
    """The part of an epoch, or of the steps until the next report, that is trained.

    Args:
        length: Number of optimizer steps.
        stats: Gradient statistics of these steps.

    Attributes:
        done: Number of optimizer steps done.
        examples: Number of examples in these steps.
        losses: Sum of the losses of this rank's examples, of each step.
        learning_rate: Learning rate of the last step.
        seconds: Time in seconds so far.
        peak_memory: Metric of the largest memory so far; empty on a CPU.
    """

    def __init__(self, length: int, stats: GradientStats) -> None:
        self._length = length
        self.stats = stats
        self.done = 0
        self.examples = 0
        self.losses: list[Tensor] = []
        self.learning_rate = 0.0
        self.seconds = 0.0
        self.peak_memory: dict[str, float] = {}

    @property
    def left(self) -> int:
        """Number of steps until the report."""
        return self._length - self.done

    @property
    def complete(self) -> bool:
        """Whether all steps are done."""
        return self.left == 0

    def measure_peak(self, found: dict[str, float]) -> None:
        """Keep the larger one of a measured peak of the memory and of those before."""
        self.peak_memory = {name: max(value, self.peak_memory.get(name, 0.0)) for name, value in found.items()}

    def of_this_rank(self) -> Tensor:
        """Return the part of a snapshot that differs between ranks, on the CPU."""
        return torch.stack(self.losses).cpu() if self.losses else torch.empty(0)

    def state_dict(self, ranks: list[Tensor]) -> dict[str, Any]:
        """Return a snapshot.

        Args:
            ranks: What `of_this_rank` returns in each rank.
        """
        return {
            "done": self.done,
            "examples": self.examples,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds,
            "peak_memory": dict(self.peak_memory),
            "stats": cpu_copy(self.stats.state_dict()),
            "losses": ranks,
        }

    def load_state_dict(self, state: dict[str, Any], rank: int, device: torch.device) -> None:
        """Resume from a snapshot.

        Raises:
            ValueError: The snapshot is from another training or another number of ranks.
        """
        self.done, self.examples = int(state["done"]), int(state["examples"])
        if not 0 < self.done < self._length:
            raise ValueError(f"it has {self.done} of {self._length} steps until a report")
        self.losses = list(state["losses"][rank].to(device).unbind())
        self.learning_rate, self.seconds = float(state["learning_rate"]), float(state["seconds"])
        self.peak_memory = dict(state["peak_memory"])
        self.stats.load_state_dict(state["stats"])
