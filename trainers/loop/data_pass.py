"""One pass through the training examples, which may last longer or shorter than the interval between two reports."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from trainers.loop.augmentation import Mixing
from trainers.task import EpochSteps, MicroBatch


class DataPass:
    """The part of a pass that is trained.

    Args:
        index: Index of the pass, from 0; with the seed, it determines the order, the dropout and the mixing.
        steps: Optimizer steps of the pass, with their micro-batches.
        mixing: Mixing of the pass.

    Attributes:
        done: Number of optimizer steps done.
        generators: States of torch's global generators after the last step; empty before the first one.
    """

    def __init__(self, index: int, steps: EpochSteps, mixing: Mixing) -> None:
        self.index = index
        self.mixing = mixing
        self.done = 0
        self.generators: list[Tensor] = []
        self._steps = steps
        self._following: Iterator[Sequence[MicroBatch]] | None = None  # once they are needed, after `done`

    @property
    def complete(self) -> bool:
        """Whether all steps of the pass are done."""
        return self.done == len(self._steps)

    def next_steps(self, steps: int) -> Iterator[Sequence[MicroBatch]]:
        """Return the micro-batches of at most ``steps`` steps after those done."""
        if self._following is None:
            self._following = self._steps.after(self.done)
        return itertools.islice(self._following, min(steps, len(self._steps) - self.done))

    def of_this_rank(self) -> list[Tensor]:
        """Return the part of a snapshot that differs between ranks."""
        return [state.clone() for state in self.generators]

    def state_dict(self, ranks: list[list[Tensor]]) -> dict[str, Any]:
        """Return a snapshot.

        Args:
            ranks: What `of_this_rank` returns in each rank.
        """
        return {"done": self.done, "mixing": self.mixing.state_dict(), "generators": ranks}

    def load_state_dict(self, state: dict[str, Any], rank: int) -> None:
        """Resume from a snapshot.

        Raises:
            ValueError: The snapshot is from another training.
        """
        self.done = int(state["done"])
        if not 0 < self.done < len(self._steps):
            raise ValueError(f"it has {self.done} of {len(self._steps)} steps of a pass")
        self.mixing.load_state_dict(state["mixing"])
        self.generators = list(state["generators"][rank])
