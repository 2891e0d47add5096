"""The steps of a training at learning rates that the caller chooses: for looking at a task, not for runs that count.

A probe starts where a `Training` of the same recipe, task and seed would start, and goes through the same batches. What
it leaves out is what would hide the answer: the schedules, the optimizer switch, averaging and early stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import nn

from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.schedules import Constant, WeightDecaySchedule
from search_spaces.seeds import derive_seed
from trainers.compute.precision import Arithmetic, check_precision, choose_device
from trainers.compute.rank import ALONE, Rank
from trainers.loop.augmentation import Mixed, Mixing, check_mixing, mixed_loss
from trainers.loop.stepper import Stepper
from trainers.optim.modes import eval_mode, train_mode
from trainers.optim.schedules import batch_factor
from trainers.seeding import global_stream, stream
from trainers.task import Data, Task

Stop = Callable[[Sequence[float]], bool]
"""Is shown the losses so far after every step, and says whether to stop."""


def _never(_: Sequence[float]) -> bool:
    return False


def use_threads(count: int) -> None:
    """Compute with so many CPU threads: as many as a run of the sweep will have."""
    torch.set_num_threads(count)


def probe_recipe(recipe: Recipe, processes: int) -> Recipe:
    """Return the recipe of the training in one process that equals one in several.

    Raises:
        UsageError: Nothing equals it.
    """
    return Rank(0, processes).widened(recipe)


def probe_data(recipe: Recipe, task: Task, seed: int) -> Data:
    """Return the splits of a task where the recipe computes.

    Raises:
        UsageError: This machine cannot train with this precision, or the recipe mixes what cannot be mixed.
    """
    device = choose_device(recipe.precision, ALONE)
    check_precision(recipe.precision, device)
    data = task.data(derive_seed(seed, "split")).to(device)
    check_mixing(recipe.regularization, data.train.inputs)
    return data


class Probe:
    """A model with fresh weights, its optimizer, and the batches of a training.

    Args:
        recipe: Every hyperparameter.
        task: Makes the model.
        data: Of `probe_data`.
        seed: Of every random stream.
        dropout: False switches the dropout layers off.
    """

    def __init__(self, recipe: Recipe, task: Task, data: Data, seed: int, dropout: bool = True) -> None:
        plain = {"switch": None, "schedule": Constant(), "weight_decay_schedule": WeightDecaySchedule()}
        self.recipe = recipe.model_copy(update=plain)
        self.data = data
        self._seed = seed
        self._epoch = 0
        self._dropout = dropout
        device = data.train.targets.device
        self.arithmetic = Arithmetic(recipe.precision, device)
        with global_stream(seed, "init"):
            self.model = task.model(self.recipe).to(device)
        self._stepper = Stepper(self.recipe, self.model, total_steps=1)
        self.parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._scale = batch_factor(recipe.budget)

    @property
    def step_size(self) -> int:
        """Examples of an optimizer step."""
        return self.recipe.budget.batch_size * self.recipe.budget.accumulation

    def train(
        self, rates: Iterable[float], stop: Stop = _never, on_gradient: Callable[[], None] | None = None
    ) -> list[float]:
        """Make one optimizer step for each learning rate; the first one begins an epoch.

        Args:
            rates: As `optimizer.lr` is written: what the batch size makes of it comes on top.
            stop: Ends the training early.
            on_gradient: Called in every step when the gradient is there, before it is clipped.

        Returns:
            The mean training loss of every step, before its update.
        """
        losses: list[float] = []
        self.training_mode()
        train_mode(self._stepper.optimizer)
        with self.arithmetic.kernels(), global_stream(self._seed, "dropout", self._epoch):
            for rate, micro_batches in zip(rates, self._batches(), strict=False):
                losses.append(self._step(micro_batches, rate * self._scale, on_gradient))
                if stop(losses):
                    break
        eval_mode(self._stepper.optimizer)
        return losses

    def training_mode(self) -> None:
        """Put the model into training mode; its dropout only if it is wanted."""
        self.model.train()
        for module in self.model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd) and not self._dropout:
                module.eval()

    def _batches(self) -> Iterator[list[Mixed]]:
        """Yield the micro-batches of one step after the other, epoch by epoch, without an end."""
        train = self.data.train
        while True:
            torch.manual_seed(derive_seed(self._seed, "dropout", self._epoch))  # inside train's own stream
            order = torch.randperm(len(train), generator=stream(self._seed, "order", self._epoch))
            mixing = Mixing(self.recipe.regularization, self._seed, self._epoch)
            self._epoch += 1
            for examples in torch.split(order.to(train.targets.device), self.step_size):
                parts = torch.split(examples, self.recipe.budget.batch_size)
                yield [mixing(train.take(indices)) for indices in parts]

    def _step(self, micro_batches: Sequence[Mixed], rate: float, on_gradient: Callable[[], None] | None) -> float:
        self._stepper.prepare(0, rate)
        optimizer, regularization = self._stepper.optimizer, self.recipe.regularization
        count = sum(len(batch.targets) for batch in micro_batches)
        total = 0.0
        for batch in micro_batches:
            logits = self.arithmetic.forward(self.model, batch.inputs)
            loss = mixed_loss(logits, batch, regularization.label_smoothing)
            self.arithmetic.backward(loss / count, optimizer)
            total += loss.item()
        self.arithmetic.unscale(optimizer)
        if on_gradient:
            on_gradient()
        parameters = list(self.parameters.values())
        if regularization.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, regularization.clip_norm)
        elif regularization.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, regularization.clip_value)
        self.arithmetic.step(optimizer)
        optimizer.zero_grad()
        return total / count
