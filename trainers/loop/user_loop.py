"""Run a user's own training loop behind the interface of a training.

The loop is a generator function; there is no other API to learn. This one fits a line::

    import torch

    def train(config: dict, seed: int, state: dict | None = None):
        torch.manual_seed(seed)
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config["optimizer"]["lr"])
        start = 0
        if state is not None:  # resume from the last state before an interruption
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

``config`` is the recipe as a plain dict, and ``seed`` is below 2**32. The state contains tensors, NumPy arrays and
plain values. A loop may yield only its metrics, without a state; it then starts over after an interruption. It yields
once for every epoch of its budget: a loop that returns before has failed, because its result cannot be compared with
that of a whole training. A metric that an epoch does not compute is ``None`` or left out; that of the sweep is needed
at the epochs where ASHA decides.

With a budget of steps, ``config["budget"]`` has ``steps`` and ``report_every``, and the loop yields its step with the
metrics: ``{"step": 100, "val/mse": 0.1}``, in increasing order and at last ``steps``.
"""

import time
from collections.abc import Generator, Mapping
from numbers import Real
from typing import Any

from search_spaces.errors import CheckpointError, RunError
from search_spaces.metric_names import check_metric_name
from search_spaces.recipe.recipe import Budget, Recipe
from trainers.loop.advance import Advancing
from trainers.loop.loop_state import from_stored, to_stored
from trainers.reports import EpochReport
from trainers.seeding import global_stream, seed_for
from trainers.task_lookup import Loop


class UserLoopTraining(Advancing):
    """The same state machine as ``Training`` for a user's generator function.

    It is finished when the epochs of the budget, or its last step, have been yielded.

    Args:
        loop: Generator function ``train(config, seed, state)``, see the top of this file.
        recipe: Recipe, passed to the loop as a plain dict; only the length of ``budget`` is used here.
        seed: Seed of the run. torch's global generator is seeded from it before every epoch and restored afterwards;
            the loop must seed any other generator itself.
    """

    def __init__(self, loop: Loop, recipe: Recipe, seed: int) -> None:
        self._loop = loop
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._metrics: dict[str, float] = {}
        self._state: dict[str, Any] | None = None
        self._generator: Generator[object, None, object] | None = None

    @property
    def epoch(self) -> int:
        """Number of completed epochs, that is, of yields; with a budget of steps, the step of the last one."""
        return self._epoch

    @property
    def step(self) -> int:
        """Always 0, since the steps within an epoch of a user's loop are unknown."""
        return 0

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self._epoch >= self._recipe.budget.length

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Empty, since the start of a user's loop is unknown."""
        return {}

    @property
    def parameters(self) -> int | None:
        """None, since the model of a user's loop is unknown."""
        return None

    @property
    def reports_all(self) -> bool:
        """False, since an epoch of a user's loop may leave out metrics."""
        return False

    def advance(self, steps: int) -> EpochReport:
        """Run the loop until its next ``yield``, whatever ``steps`` is. Exceptions of the loop are not caught.

        Raises:
            RunError: The loop yielded something other than metrics, a first state that cannot be stored, or returned
                before the last epoch.
        """
        started = time.perf_counter()
        if self._generator is None:
            self._generator = self._loop(self._config(), seed_for(self._loop, self._seed), self._state)
        try:
            with global_stream(self._seed, "dropout", self._epoch):
                yielded = next(self._generator)
        except StopIteration:
            raise RunError(self._returned()) from None
        begins = self._state is None
        self._epoch, self._metrics, self._state = _parse(yielded, self._epoch, self._recipe.budget)
        if begins and self._state is not None:
            to_stored(self._state)  # fails now, and not at the first checkpoint, perhaps hours later
        if self.finished:
            self._generator.close()
        return EpochReport(self._epoch, self._metrics, time.perf_counter() - started)

    def _config(self) -> dict[str, Any]:
        """Return the recipe for the loop, with the number of steps between reports."""
        budget = self._recipe.budget
        if budget.unit == "epoch":
            return self._recipe.model_dump()
        resolved = budget.model_copy(update={"report_every": budget.interval})
        return self._recipe.model_copy(update={"budget": resolved}).model_dump()

    def _returned(self) -> str:
        """Return the error of a loop that returned too early."""
        budget = self._recipe.budget
        rule = (
            "yield once for each epoch of config['budget']['epochs']; a loop that stops early yields its last metrics"
        )
        if budget.unit == "step":
            rule = "the last yield has the step config['budget']['steps']; a loop that stops early yields its metrics"
        return f"the training loop returned after {self._epoch} of {budget.text}: {rule} again"

    def state_dict(self) -> dict[str, Any] | None:
        """Return a snapshot to resume from, or ``None`` if the loop yields no state and must start over.

        Raises:
            RunError: The state has a value that cannot be stored.
        """
        if self._state is None:
            return None
        return {"epoch": self._epoch, "metrics": self._metrics, "state": to_stored(self._state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot: the loop is started again with the state that it had yielded.

        Raises:
            CheckpointError: The snapshot is not from a user's loop.
        """
        try:
            self._epoch, self._metrics = state["epoch"], state["metrics"]
            self._state = from_stored(state["state"])
        except KeyError as error:
            raise CheckpointError(f"not a checkpoint of a training loop: {error} is missing") from error
        self._generator = None

    def close(self) -> None:
        """Do nothing: an unfinished loop ends with this object."""


def _parse(yielded: object, before: int, budget: Budget) -> tuple[int, dict[str, float], dict[str, Any] | None]:
    """Check what a loop yielded and return ``(epoch or step, metrics, state)``."""
    in_steps = budget.unit == "step"
    where = (
        f"a yield after step {before} of the training loop" if in_steps else f"epoch {before + 1} of the training loop"
    )
    state: object = None
    if isinstance(yielded, tuple) and len(yielded) == 2:
        yielded, state = yielded
    if not isinstance(yielded, Mapping):
        raise RunError(f"{where}: yield a dict of metrics, or (metrics, state); found {_shown(yielded)}")
    if state is not None and not isinstance(state, dict):
        raise RunError(f"{where}: the state must be a dict, found {_shown(state)}")
    progress, yielded = _step(yielded, before, budget, where) if in_steps else (before + 1, yielded)
    for name, value in yielded.items():
        try:
            check_metric_name(name)
        except ValueError as error:
            raise RunError(f"{where}: the name of a metric {error}") from None
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise RunError(f"{where}: {name} must be a number (a tensor's .item()) or None, found {_shown(value)}")
    try:
        return progress, {name: float(value) for name, value in yielded.items() if value is not None}, state
    except OverflowError as error:
        raise RunError(f"{where}: a metric is too large for a float: {error}") from None


def _step(yielded: Mapping[Any, Any], before: int, budget: Budget, where: str) -> tuple[int, Mapping[Any, Any]]:
    """Return the step that a loop yielded, and its metrics."""
    step = yielded.get("step")
    if isinstance(step, bool) or not isinstance(step, int) or not before < step <= budget.length:
        found = f"found {_shown(step)}" if "step" in yielded else "found none"
        rule = f"yield the step with the metrics, a whole number from {before + 1} to {budget.length}"
        raise RunError(f"{where}: {rule}: {{'step': 100, 'val/mse': 0.1}}; {found}")
    return step, {name: value for name, value in yielded.items() if name != "step"}


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.60}"
