"""A user's own training loop, driven as a training.

The loop is a generator function, and that is all there is to learn. This one fits a line::

    import torch

    def train(config: dict, seed: int, state: dict | None = None):
        torch.manual_seed(seed)
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config["optimizer"]["lr"])
        start = 0
        if state is not None:  # continue from what was yielded before an interruption
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            start = state["epoch"]
        x = torch.linspace(-1, 1, 20).unsqueeze(1)
        for epoch in range(start, config["budget"]["epochs"]):
            loss = torch.nn.functional.mse_loss(model(x), 3 * x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            yield {"val/mse": loss.item()}, state

``config`` is the recipe as a plain dict. The state holds tensors and plain values. A loop may also yield its metrics
alone: it still works, and starts over after an interruption.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Generator, Mapping
from numbers import Real
from typing import Any

from search_spaces.errors import CheckpointError, RunError
from search_spaces.recipe.recipe import Recipe
from trainers.reports import EpochReport
from trainers.seeding import global_stream
from trainers.task_lookup import Loop

_METRIC = re.compile(r"[A-Za-z_][\w.-]*/[\w.-]+")


class UserLoopTraining:
    """The same state machine as ``Training``, around a user's generator function.

    It is finished when the budget's epochs have been yielded or when the generator returns. That it has
    returned only shows when it is asked for another epoch: ``run_epoch`` then gives the last report once
    more.

    Args:
        loop: ``train(config, seed, state)``, see the top of this file.
        recipe: Passed to the loop as a plain dict; only ``budget.epochs`` is read here.
        seed: Of this run. torch's global generator is seeded from it before every epoch, and the caller's is given
            back; any other generator the loop seeds itself.
    """

    def __init__(self, loop: Loop, recipe: Recipe, seed: int) -> None:
        self._loop = loop
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._metrics: dict[str, float] = {}
        self._state: dict[str, Any] | None = None
        self._generator: Generator[object, None, object] | None = None
        self._returned = False

    @property
    def epoch(self) -> int:
        """Epochs done: how often the loop has yielded."""
        return self._epoch

    @property
    def finished(self) -> bool:
        """Whether the budget is spent, or the loop has returned."""
        return self._returned or self._epoch >= self._recipe.budget.epochs

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Nothing: what a user's loop starts from is its own business."""
        return {}

    def run_epoch(self) -> EpochReport:
        """Let the loop run to its next ``yield``.

        Raises:
            RunError: It yielded something else than metrics, or nothing at all. Its own exceptions pass
                through.
        """
        started = time.perf_counter()
        if self._generator is None:
            self._generator = self._loop(self._recipe.model_dump(), self._seed, self._state)
        try:
            with global_stream(self._seed, "dropout", self._epoch):
                yielded = next(self._generator)
        except StopIteration:
            self._returned = True
            if self._epoch == 0:
                raise RunError("the training loop returned without yielding any metrics") from None
        else:
            self._epoch += 1
            self._metrics, self._state = _parse(yielded, self._epoch)
        if self.finished:
            self._generator.close()
        return EpochReport(self._epoch, self._metrics, time.perf_counter() - started)

    def state_dict(self) -> dict[str, Any] | None:
        """Return what to continue from, or ``None`` when the loop yields no state and has to start over."""
        if self._state is None:
            return None
        return {"epoch": self._epoch, "metrics": self._metrics, "state": copy.deepcopy(self._state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot: the loop starts anew and is given the state that it had yielded.

        Raises:
            CheckpointError: This is no snapshot of a user's loop.
        """
        try:
            self._epoch, self._metrics, self._state = state["epoch"], state["metrics"], state["state"]
        except KeyError as error:
            raise CheckpointError(f"not a checkpoint of a training loop: it lacks {error}") from error
        self._generator = None

    def close(self) -> None:
        """There is nothing to give back: a loop that is left in the middle ends with this object."""


def _parse(yielded: object, epoch: int) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Check what a loop yielded and return ``(metrics, state)``."""
    where = f"epoch {epoch} of the training loop"
    state: object = None
    if isinstance(yielded, tuple) and len(yielded) == 2:
        yielded, state = yielded
    if not isinstance(yielded, Mapping) or not yielded:
        raise RunError(f"{where}: yield a dict of metrics, or (metrics, state); found {_shown(yielded)}")
    if state is not None and not isinstance(state, dict):
        raise RunError(f"{where}: the state is a dict, found {_shown(state)}")
    for name, value in yielded.items():
        if not isinstance(name, str) or not _METRIC.fullmatch(name):
            raise RunError(f"{where}: a metric is named split/name, such as val/accuracy; found {name!r}")
        if isinstance(value, bool) or not isinstance(value, Real):
            raise RunError(f"{where}: {name} is a number (a tensor's .item()), found {_shown(value)}")
    return {name: float(value) for name, value in yielded.items()}, state


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.60}"
