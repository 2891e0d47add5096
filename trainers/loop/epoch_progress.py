"""The state of a training within an epoch: its position in the data, and what it has measured so far."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from trainers.loop.augmentation import Mixing
from trainers.loop.gradient_stats import GradientStats
from trainers.task import EpochSteps, MicroBatch


class EpochProgress:
    """The part of an epoch that is trained.

    Args:
        steps: Optimizer steps of the epoch, with their micro-batches.
        mixing: Mixing of the epoch.
        stats: Gradient statistics of the epoch.

    Attributes:
        done: Number of optimizer steps done.
        losses: Sum of the losses of this rank's examples, of each step.
        learning_rate: Learning rate of the last step.
        seconds: Time in seconds so far.
        peak_memory: Metric of the largest memory so far; empty on a CPU.
        generators: States of torch's global generators after the last step; empty before the first one.
    """

    def __init__(self, steps: EpochSteps, mixing: Mixing, stats: GradientStats) -> None:
        self._steps = steps
        self._following: Iterator[Sequence[MicroBatch]] | None = None  # once they are needed, after `done`
        self.mixing = mixing
        self.stats = stats
        self.done = 0
        self.losses: list[Tensor] = []
        self.learning_rate = 0.0
        self.seconds = 0.0
        self.peak_memory: dict[str, float] = {}
        self.generators: list[Tensor] = []

    @property
    def complete(self) -> bool:
        """Whether all steps of the epoch are done."""
        return self.done == len(self._steps)

    @property
    def examples(self) -> int:
        """Number of examples of the epoch, once it is complete."""
        return self._steps.examples

    def next_steps(self, steps: int) -> Iterator[Sequence[MicroBatch]]:
        """Return the micro-batches of at most ``steps`` steps after those done."""
        if self._following is None:
            self._following = self._steps.after(self.done)
        return itertools.islice(self._following, min(steps, len(self._steps) - self.done))

    def measure_peak(self, found: dict[str, float]) -> None:
        """Keep the larger one of a measured peak of the memory and of those before."""
        self.peak_memory = {name: max(value, self.peak_memory.get(name, 0.0)) for name, value in found.items()}

    def of_this_rank(self) -> dict[str, Any]:
        """Return the part of a snapshot that differs between ranks, on the CPU."""
        losses = torch.stack(self.losses).cpu() if self.losses else torch.empty(0)
        return {"losses": losses, "generators": [state.clone() for state in self.generators]}

    def state_dict(self, ranks: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a snapshot.

        Args:
            ranks: What `of_this_rank` returns in each rank.
        """
        return {
            "done": self.done,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds,
            "peak_memory": dict(self.peak_memory),
            "mixing": self.mixing.state_dict(),
            "stats": self.stats.state_dict(),
            "ranks": ranks,
        }

    def load_state_dict(self, state: dict[str, Any], rank: int, device: torch.device) -> None:
        """Resume from a snapshot.

        Raises:
            ValueError: The snapshot is from another epoch or another number of ranks.
        """
        self.done = int(state["done"])
        if not 0 < self.done < len(self._steps):
            raise ValueError(f"it has {self.done} of {len(self._steps)} steps of an epoch")
        own = state["ranks"][rank]
        self.losses = list(own["losses"].to(device).unbind())
        self.generators = list(own["generators"])
        self.learning_rate, self.seconds = float(state["learning_rate"]), float(state["seconds"])
        self.peak_memory = dict(state["peak_memory"])
        self.mixing.load_state_dict(state["mixing"])
        self.stats.load_state_dict(state["stats"])
