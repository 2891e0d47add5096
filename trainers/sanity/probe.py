"""Train for some steps at learning rates that the caller chooses, to examine a task before a sweep.

A probe has the same initial weights and batches as a `Training` of the same recipe, task and seed. It ignores the
schedules, the optimizer switch, averaging and early stopping.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import nn

from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.schedules import Constant, WeightDecaySchedule
from search_spaces.seeds import derive_seed
from trainers.compute.batch_norm import recompute_statistics
from trainers.compute.batches import check_batches, needs_two
from trainers.compute.precision import Arithmetic, check_precision, choose_device
from trainers.compute.rank import ALONE, Rank
from trainers.lazy_layers import initialize_lazy_layers
from trainers.loop.augmentation import Augmentation, Mixed, Mixing, check_mixing, mixed_loss
from trainers.loop.gradient_stats import clip_gradients
from trainers.loop.stepper import Stepper
from trainers.objective import objective_of
from trainers.optim.layer_groups import training_mode
from trainers.optim.modes import eval_mode, train_mode
from trainers.optim.schedules import batch_factor
from trainers.seeding import global_stream, seed_for
from trainers.task import Data, EpochPlan, EpochSteps, Task

Stop = Callable[[Sequence[float]], bool]
"""Called after every step with the losses so far; returns whether to stop."""


def _never(_: Sequence[float]) -> bool:
    return False


def use_threads(count: int) -> None:
    """Set the number of CPU threads to that of a run of the sweep."""
    torch.set_num_threads(count)


def probe_recipe(recipe: Recipe, processes: int) -> Recipe:
    """Return the recipe of the single-process training that is equivalent to one in several processes.

    Raises:
        UsageError: There is no equivalent training.
    """
    return Rank(0, processes).equivalent_recipe(recipe)


def probe_data(recipe: Recipe, task: Task, seed: int) -> Data:
    """Return the splits of a task on the device of the recipe.

    Raises:
        UsageError: This machine does not support the precision, or the inputs cannot be mixed, or the recipe needs a
            classifier.
    """
    objective_of(task).check_recipe(recipe)
    device = choose_device(recipe.precision, ALONE)
    check_precision(recipe.precision, device)
    data = task.data(seed_for(task, derive_seed(seed, "split"))).to(device)
    check_mixing(recipe.regularization, data.train.sample(2).inputs)
    return data


class Probe:
    """A model with its initial weights, its optimizer, and the batches of a training.

    Args:
        recipe: All hyperparameters.
        task: Task that makes the model.
        data: Splits from `probe_data`.
        seed: Seed for all random streams.
        dropout: Whether dropout layers and the augmentation of the task are active.

    Raises:
        UsageError: BatchNorm cannot be trained on the batches.
    """

    def __init__(self, recipe: Recipe, task: Task, data: Data, seed: int, dropout: bool = True) -> None:
        plain = {"switch": None, "schedule": Constant(), "weight_decay_schedule": WeightDecaySchedule()}
        self.recipe = recipe.model_copy(update=plain)
        self.data = data
        self._seed = seed
        self._epoch = 0
        self._dropout = dropout
        self.objective = objective_of(task)
        self._augment = Augmentation(self.objective.augment if dropout else None, seed)
        device = data.train.device
        self.arithmetic = Arithmetic(recipe.precision, device)
        with global_stream(seed, "init"):
            self.model = task.model(self.recipe)
            initialize_lazy_layers(self.model, data.train.sample(2).inputs)
            self.model.to(device)
        check_batches(self.model, data.train.sample(2).inputs, recipe)
        self._stepper = Stepper(self.recipe, self.model, total_steps=1)
        self.parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._scale = batch_factor(recipe.budget)

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer steps per epoch."""
        return len(self._steps())

    def _steps(self) -> EpochSteps:
        return self.data.train.epoch_steps(EpochPlan(self.recipe.budget, self._seed, self._epoch, self.at_least_two))

    @property
    def at_least_two(self) -> bool:
        """Whether a single last example joins the batch before it."""
        return needs_two(self.model, self.recipe.groups.frozen)

    def train(
        self, rates: Iterable[float], stop: Stop = _never, on_gradient: Callable[[], None] | None = None
    ) -> list[float]:
        """Make one optimizer step for each learning rate; the first step starts an epoch.

        Args:
            rates: Values of `optimizer.lr`, before scaling by the batch size.
            stop: Function that ends the training early.
            on_gradient: Function called in every step after the gradient is computed and before it is clipped.

        Returns:
            Mean training loss of every step, before its update.
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

    def update_statistics(self) -> None:
        """Recompute the BatchNorm statistics as after an epoch; call this before an evaluation."""
        if self._stepper.evaluates_other_weights:
            with self.arithmetic.autocast():
                size = self.recipe.budget.batch_size
                recompute_statistics(self.model, self.data.train, size, self.recipe.groups.frozen)

    def training_mode(self) -> None:
        """Put the model into training mode, with its dropout layers only if dropout is active."""
        training_mode(self.model, self.recipe.groups.frozen)
        for module in self.model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd) and not self._dropout:
                module.eval()

    def _batches(self) -> Iterator[list[Mixed]]:
        """Yield the micro-batches of each step, epoch after epoch, endlessly."""
        while True:
            torch.manual_seed(derive_seed(self._seed, "dropout", self._epoch))  # inside the global_stream of train()
            mixing = Mixing(self.recipe.regularization, self._seed, self._epoch)
            epoch, steps = self._epoch, self._steps()
            self._epoch += 1
            for step, parts in enumerate(steps.after(0)):
                loaded = (self._augment(part.load(), epoch, step, number) for number, part in enumerate(parts))
                yield [mixing(batch) for batch in loaded]

    def _step(self, micro_batches: Sequence[Mixed], rate: float, on_gradient: Callable[[], None] | None) -> float:
        self._stepper.prepare(0, rate)
        optimizer, regularization = self._stepper.optimizer, self.recipe.regularization
        count = sum(len(batch.targets) for batch in micro_batches)
        total = 0.0
        for batch in micro_batches:
            outputs = self.arithmetic.forward(self.model, batch.inputs)
            loss = mixed_loss(outputs, batch, self.objective, regularization.label_smoothing)
            self.arithmetic.backward(loss / count, optimizer)
            total += loss.item()
        self.arithmetic.unscale(optimizer)
        if on_gradient:
            on_gradient()
        clip_gradients(list(self.parameters.values()), regularization)
        self.arithmetic.step(optimizer)
        optimizer.zero_grad()
        return total / count
