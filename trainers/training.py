"""One recipe, one task, one seed: a training that advances one epoch per call.

    training = Training(recipe, task, seed)
    while not training.finished:
        report = training.run_epoch()

Whoever holds the training decides between epochs: to go on, to save ``state_dict()``, or to stop by not
calling again. What happens in an epoch is a function of (recipe, task, seed, weights, optimizer state, epoch
number) and of nothing else, so a training that is loaded from a checkpoint continues bit by bit as if it had
never stopped. (On CUDA as far as the kernels that the model uses are deterministic.)
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.errors import CheckpointError
from search_spaces.recipe import Recipe
from search_spaces.seeds import derive_seed
from trainers.evaluate import evaluate
from trainers.optimizers import build_optimizer
from trainers.reports import EpochReport, Predictions
from trainers.schedules import factor
from trainers.seeding import global_stream, stream
from trainers.tasks.task import Task


class Training:
    """The state machine of one run.

    Args:
        recipe: Every hyperparameter.
        task: Data and model.
        seed: Of this run; every random stream of it is derived from this number.
    """

    def __init__(self, recipe: Recipe, task: Task, seed: int) -> None:
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

        self._data = task.data(derive_seed(seed, "split")).to(self._device)
        with global_stream(seed, "init"):
            self.model = task.model(recipe).to(self._device)
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._optimizer = build_optimizer(recipe.optimizer, self.model)

        # One optimizer step takes `accumulation` micro-batches; what is left at the end of an epoch makes a
        # last, smaller step, so that every example counts once per epoch.
        self._step_size = recipe.budget.batch_size * recipe.budget.accumulation
        self._steps_per_epoch = math.ceil(len(self._data.train) / self._step_size)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._epoch

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return self._epoch >= self._recipe.budget.epochs

    def run_epoch(self) -> EpochReport:
        """Train one epoch and evaluate on ``val``; the last epoch of the budget evaluates on ``test`` too.

        A loss that is not finite is reported like any other.
        """
        started = time.perf_counter()
        with global_stream(self._seed, "dropout", self._epoch):
            metrics = self._train_epoch()
            self._epoch += 1
            val = evaluate(self.model, self._data.val)
            metrics |= val.metrics("val")
            predictions: tuple[Predictions, ...] = ()
            if self.finished:
                test = evaluate(self.model, self._data.test)
                metrics |= test.metrics("test")
                predictions = (val.predictions("val"), test.predictions("test"))
        metrics["train/seconds"] = seconds = time.perf_counter() - started
        return EpochReport(self._epoch, metrics, seconds, predictions)

    def _train_epoch(self) -> dict[str, float]:
        """Train on every example once and return the ``train/`` metrics."""
        order = torch.randperm(len(self._data.train), generator=stream(self._seed, "order", self._epoch))
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        learning_rate = 0.0
        self.model.train()
        for step, examples in enumerate(torch.split(order.to(self._device), self._step_size)):
            learning_rate = self._set_learning_rate(self._epoch * self._steps_per_epoch + step)
            losses.append(self._backward(examples))
            norms.append(self._clip())
            self._optimizer.step()
            self._optimizer.zero_grad()

        # Nothing above reads a number out of a tensor: that would make a GPU wait for the CPU at every step.
        clip_norm = self._recipe.regularization.clip_norm or math.inf
        norm = torch.stack(norms).double()
        return {
            "train/loss": torch.stack(losses).double().sum().item() / len(order),
            "train/lr": learning_rate,
            "train/grad_norm": norm.mean().item(),
            "train/grad_norm_max": norm.max().item(),
            "train/clip_rate": (norm > clip_norm).double().mean().item(),
        }

    def _set_learning_rate(self, step: int) -> float:
        total_steps = self._recipe.budget.epochs * self._steps_per_epoch
        learning_rate = self._recipe.optimizer.lr * factor(self._recipe.schedule, step, total_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        return learning_rate

    def _backward(self, examples: Tensor) -> Tensor:
        """Add up the gradient of the mean loss of one step, micro-batch by micro-batch.

        Args:
            examples: Indices into ``train``, ``(n,)``.

        Returns:
            The sum of the losses of these examples, a scalar without gradient.
        """
        train = self._data.train
        total = torch.zeros((), device=self._device)
        for indices in torch.split(examples, self._recipe.budget.batch_size):
            batch = train.take(indices)
            loss = functional.cross_entropy(
                self.model(batch.inputs),
                batch.targets,
                reduction="sum",
                label_smoothing=self._recipe.regularization.label_smoothing,
            )
            # By the step's size, not by the number of micro-batches: the last one may be smaller than the
            # others.
            (loss / len(examples)).backward()  # type: ignore[no-untyped-call]  # torch has not typed it
            total += loss.detach()
        return total

    def _clip(self) -> Tensor:
        """Bound the global gradient norm, if the recipe says so, and return what it was before."""
        clip_norm = self._recipe.regularization.clip_norm
        if clip_norm is not None:
            return nn.utils.clip_grad_norm_(self._parameters, clip_norm)
        return nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot to continue from: tensors and plain values, shared with nothing.

        The schedule and the random streams are functions of ``epoch``, so they need no state of their own.
        """
        return {
            "epoch": self._epoch,
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot of a training of the same recipe, task and seed.

        Raises:
            CheckpointError: The snapshot is of another model. This training is then not to be used any more.
        """
        try:
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
            self._epoch = int(state["epoch"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"not a checkpoint of this training: {error}") from error
