"""Train one recipe with one seed on one task; the training advances some optimizer steps per call.

    training = Training(recipe, task, seed)
    while not training.finished:
        report = training.advance(steps=100)  # None until an epoch is complete

Between two calls the caller decides: continue, save ``state_dict()``, or stop by not calling again. An epoch depends
only on (recipe, task, seed, weights, optimizer state, epoch number), and the state within an epoch is part of a
checkpoint. With a budget of steps, what is called an epoch here are the steps until the next report, over any part of
one or several passes through the data; each pass has the random streams of an epoch with its number. So a training
that resumes from a checkpoint is bit-identical to one that was never interrupted, and the numbers do not depend on how
many steps a call trains. (On CUDA, only if the kernels of the model are deterministic.)
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import CheckpointError
from search_spaces.metric_names import RAW
from search_spaces.recipe.averaging import NoAverage
from search_spaces.recipe.recipe import Recipe
from search_spaces.seeds import derive_seed
from trainers.compute.batch_norm import recompute_statistics
from trainers.compute.batches import check_batches, needs_two
from trainers.compute.memory import cpu_copy, peak_memory, reset_peak_memory, wait_for
from trainers.compute.precision import Arithmetic, check_precision, choose_device, gpu_record
from trainers.compute.rank import ALONE, Rank
from trainers.data.checks import check_processes
from trainers.evaluation.fgsm import check_fgsm
from trainers.evaluation.scorer import ScoredWeights, Scorer
from trainers.lazy_layers import initialize_lazy_layers
from trainers.loop.advance import Advancing
from trainers.loop.augmentation import Augmentation, Mixed, Mixing, check_mixing, mixed_loss
from trainers.loop.data_pass import DataPass
from trainers.loop.epoch_progress import EpochProgress
from trainers.loop.fingerprint import fingerprint
from trainers.loop.gradient_stats import GradientStats, clip_gradients
from trainers.loop.patience import Stopper
from trainers.loop.stepper import Stepper
from trainers.loop.weight_averaging import Average
from trainers.nested import first
from trainers.objective import objective_of
from trainers.optim.layer_groups import training_mode
from trainers.optim.modes import eval_mode, train_mode
from trainers.reports import EpochReport, Predictions
from trainers.seeding import generator_states, global_stream, restore_generators, seed_for
from trainers.task import EpochPlan, EpochSteps, MicroBatch, Task


class Training(Advancing):
    """State machine of one run.

    Args:
        recipe: All hyperparameters.
        task: Task with data and model.
        seed: Seed of the run, from which all random streams are derived.
        rank: Index of this process among several. Each has a `Training`, receives the same calls and takes part in
            every step; only the reports and snapshots of the first rank are complete.

    Raises:
        UsageError: This machine does not support the precision, or the inputs cannot be mixed or perturbed, or
            BatchNorm cannot be trained on the batches, or the recipe needs a classifier.
    """

    def __init__(self, recipe: Recipe, task: Task, seed: int, rank: Rank = ALONE) -> None:
        self._rank = rank
        self._recipe = recipe = rank.equivalent_recipe(recipe)
        self._seed = seed
        self._epoch = 0
        self._progress: EpochProgress | None = None  # None between two epochs
        self._pass: DataPass | None = None  # None before the first pass
        self._device = choose_device(recipe.precision, rank)
        check_precision(recipe.precision, self._device)
        self._arithmetic = Arithmetic(recipe.precision, self._device)

        self._objective = objective_of(task)
        self._objective.check_recipe(recipe)
        self._augment = Augmentation(self._objective.augment, seed)
        self._data = task.data(seed_for(task, derive_seed(seed, "split"))).to(self._device)
        check_processes(self._data.train, rank.count)
        inputs = self._data.train.sample(2).inputs
        check_mixing(recipe.regularization, inputs)
        check_fgsm(recipe.signals, inputs)
        with global_stream(seed, "init"):
            self.model = task.model(recipe)
            initialize_lazy_layers(self.model, inputs)
            self.model.to(self._device)
        self._fingerprint = fingerprint(self.model, self._data.train.order(seed), self._data)
        self._fingerprint |= gpu_record(self._device)
        self._parameter_count = sum(parameter.numel() for parameter in self.model.parameters())
        if recipe.model.sync_batch_norm:
            self.model = rank.with_sync_batch_norm(self.model, self._device)

        check_batches(self.model, inputs, recipe)
        self._at_least_two = needs_two(self.model, recipe.groups.frozen)
        self._steps_per_epoch = len(self._steps(0))

        self._in_steps = recipe.budget.unit == "step"
        self._total_steps = recipe.budget.length * self._steps_per_unit
        self._stepper = Stepper(recipe, self.model, self._total_steps)
        # After the stepper, because building its optimizer freezes parameters.
        self._forward = rank.data_parallel(self._arithmetic.compiled(self.model))
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._stopper = Stopper(recipe.patience)
        averages = not isinstance(recipe.averaging, NoAverage)
        self._average = Average(recipe, self.model, self._total_steps) if averages else None
        self._scorer = Scorer(recipe, self._arithmetic, self._data, self._objective)

    @property
    def epoch(self) -> int:
        """Number of completed epochs; with a budget of steps, the step of the last report."""
        return self._epoch

    @property
    def step(self) -> int:
        """Number of optimizer steps done since the last report."""
        return self._progress.done if self._progress else 0

    @property
    def finished(self) -> bool:
        """Whether the budget or the patience of the recipe is used up."""
        return self._epoch >= self._recipe.budget.length or self._stopper.exhausted

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the model, frozen ones included."""
        return self._parameter_count

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of the start of this training: ``weights``, ``order`` and ``split``; they are equal within a pair.

        On a GPU also its model as ``device``, and ``cuda``: driver, CUDA, cuDNN and kernels.
        """
        return self._fingerprint

    def advance(self, steps: int) -> EpochReport | None:
        """Train for at most ``steps`` optimizer steps, to the next report at most.

        Returns:
            None if the epoch is not complete. If it is, its report, after an evaluation on ``val``, at the end also on
            ``test``. A non-finite loss is reported, too.
        """
        started = time.perf_counter()
        progress = self._progress = self._progress or self._new_epoch()
        with self._arithmetic.kernels():
            last = progress.done + min(steps, progress.left)
            while progress.done < last:
                with self._next_pass() as data_pass:
                    self._train(progress, data_pass, last - progress.done)
                progress.measure_peak(peak_memory(self._device))
            if not progress.complete:
                wait_for(self._device)
                progress.seconds += time.perf_counter() - started
                return None
            with self._dropout(data_pass):
                metrics, predictions = self._complete(progress, started - progress.seconds)
        self._progress = None
        if self.finished:
            self._data.close()
        metrics["train/seconds"] = seconds = time.perf_counter() - started + progress.seconds
        return EpochReport(self._epoch, metrics, seconds, predictions)

    def _new_epoch(self) -> EpochProgress:
        """Return the start of the current epoch."""
        budget, regularization = self._recipe.budget, self._recipe.regularization
        length = min(budget.interval, budget.length - self._epoch) * self._steps_per_unit
        return EpochProgress(length, GradientStats(self._parameters, regularization, length))

    def _new_pass(self, index: int) -> DataPass:
        """Return the start of a pass through the data."""
        mixing = Mixing(self._recipe.regularization, self._seed, index)
        return DataPass(index, self._steps(index), mixing)

    @property
    def _steps_per_unit(self) -> int:
        """Number of optimizer steps in a unit of the budget: an epoch or a step."""
        return 1 if self._in_steps else self._steps_per_epoch

    @property
    def _steps_done(self) -> int:
        """Number of optimizer steps done since the start of the training."""
        return self._epoch * self._steps_per_unit + self.step

    @contextmanager
    def _next_pass(self) -> Iterator[DataPass]:
        """Continue the current pass, or start the next one, with its random numbers; keep their state at the end."""
        if self._pass is None or self._pass.complete:
            self._pass = self._new_pass(self._steps_done // self._steps_per_epoch)
        with self._dropout(self._pass):
            yield self._pass
            self._pass.generators = generator_states(self._device)

    @contextmanager
    def _dropout(self, data_pass: DataPass) -> Iterator[None]:
        """Continue torch's global generators of a pass inside the block."""
        with global_stream(self._seed, "dropout", data_pass.index, self._rank.index):
            if data_pass.generators:
                restore_generators(data_pass.generators, self._device)
            yield

    def _train(self, progress: EpochProgress, data_pass: DataPass, steps: int) -> None:
        """Train for at most ``steps`` optimizer steps of a pass.

        No number is read, since the CPU would wait for the GPU each time.
        """
        constant = self._average.learning_rate(self._reports) if self._average else None
        reset_peak_memory(self._device)
        training_mode(self.model, self._recipe.groups.frozen)
        if progress.done == 0:  # not within an epoch, because it rounds the weights of a schedule-free optimizer
            train_mode(self._stepper.optimizer)
        for micro_batches in data_pass.next_steps(steps):
            steps_done = self._steps_done
            progress.learning_rate = self._stepper.prepare(steps_done, constant)
            optimizer = self._stepper.optimizer  # it may have been switched
            progress.losses.append(self._backward(micro_batches, data_pass))
            progress.examples += sum(part.size for part in micro_batches)
            self._arithmetic.unscale(optimizer)
            clip_gradients(self._parameters, self._recipe.regularization, progress.stats.gradient())
            with progress.stats.update(progress.done):
                self._arithmetic.step(optimizer)
            optimizer.zero_grad()
            if self._average:
                self._average.after_step(self.model, steps_done + 1)
            progress.done += 1
            data_pass.done += 1

    def _complete(self, progress: EpochProgress, started: float) -> tuple[dict[str, float], tuple[Predictions, ...]]:
        """End an epoch whose steps are done: evaluate, and return its metrics and predictions."""
        eval_mode(self._stepper.optimizer)
        metrics = self._train_metrics(progress)
        metrics["train/samples_per_second"] = progress.examples / (time.perf_counter() - started)
        self._epoch += progress.done // self._steps_per_unit
        self._update_statistics()
        raw = self._scorer.score(RAW, self.model) if self._rank.first else None
        loss = self._rank.broadcast(raw.loss if raw else math.nan, self._device)
        if self._average:
            self._average.after_validation(self.model, loss)
        self._stepper.after_epoch(loss)
        self._stopper.watch(loss, self.model)
        restored = self.finished and self._stopper.restore(self.model)
        if raw and restored:
            raw = self._scorer.score(RAW, self.model)
        scores, predictions = self._score(raw) if raw else ({}, ())
        return metrics | scores, predictions

    def _train_metrics(self, progress: EpochProgress) -> dict[str, float]:
        """Return the ``train/`` metrics of an epoch."""
        losses = self._rank.sum(torch.stack(progress.losses).double().sum())
        metrics = {
            "train/loss": losses.item() / progress.examples,
            "train/lr": progress.learning_rate,
            **progress.stats.metrics(self._arithmetic.skips_steps),
        }
        progress.measure_peak(peak_memory(self._device))
        return metrics | progress.peak_memory

    def _steps(self, index: int) -> EpochSteps:
        """Return the optimizer steps of a pass through the data."""
        budget, owns = self._recipe.budget, self._rank.owns
        return self._data.train.epoch_steps(EpochPlan(budget, self._seed, index, self._at_least_two, owns))

    def _backward(self, parts: Sequence[MicroBatch], data_pass: DataPass) -> Tensor:
        """Accumulate the gradient of the mean loss of one step, micro-batch by micro-batch.

        Args:
            parts: Micro-batches of the step.
            data_pass: The pass so far, which has its mixing.

        Returns:
            Sum of the losses of this rank's examples, a scalar without gradient.
        """
        total = torch.zeros((), device=self._device)
        # The size of the step, not the number of micro-batches, since the last one may be smaller. Averaging over the
        # ranks divides by their number once more.
        divisor = sum(part.size for part in parts) / self._rank.count
        for number, part in enumerate(parts):
            # Every rank draws the mixing of all micro-batches, so that they are mixed as in a single process.
            examples = part.load()
            if self._rank.owns(number):
                examples = self._augment(examples, data_pass.index, data_pass.done, number)
            batch = data_pass.mixing(examples)
            if self._rank.owns(number):
                with self._rank.gradient_sync(self._forward, number, len(parts)):
                    total += self._add_gradient(batch, divisor)
        if self._rank.idle_in_last_round(len(parts)):
            # DDP waits for a backward pass in every rank; this one contributes no gradient. It has no examples with
            # synchronised BatchNorm, which would count them and allows an empty batch; other layers may not.
            count = 0 if self._recipe.model.sync_batch_norm else parts[0].size
            spare = self._data.train.sample(max(1, count))
            targets = spare.targets[:count]
            self._add_gradient(Mixed(first(spare.inputs, count), targets, targets, 1.0), math.inf)
        return total

    def _add_gradient(self, batch: Mixed, divisor: float) -> Tensor:
        """Add the gradient of a micro-batch's summed loss divided by ``divisor``; return the summed loss."""
        outputs = self._arithmetic.forward(self._forward, batch.inputs)
        loss = mixed_loss(outputs, batch, self._objective, self._recipe.regularization.label_smoothing)
        self._arithmetic.backward(loss / divisor, self._stepper.optimizer)
        return loss.detach()

    def _update_statistics(self) -> None:
        """Give all weights that are evaluated after this epoch BatchNorm statistics of their own."""
        train, recipe = self._data.train, self._recipe
        with self._arithmetic.evaluation():
            if self._stepper.evaluates_other_weights:
                recompute_statistics(self.model, train, recipe.budget.batch_size, recipe.groups.frozen)
            self._rank.broadcast_buffers(self.model)
            if self._average:
                self._average.after_report(self.model, self._reports, self._epoch * self._steps_per_unit, train)

    @property
    def _reports(self) -> int:
        """Number of completed epochs or, with a budget of steps, of reports."""
        return math.ceil(self._epoch / self._recipe.budget.interval)

    def _score(self, raw: ScoredWeights) -> tuple[dict[str, float], tuple[Predictions, ...]]:
        """Return the metrics of an epoch and, at the end of the training, the predictions."""
        scored = self._scored_weights(raw)
        metrics = self._scorer.epoch_metrics(scored)
        if not self.finished:
            return metrics, ()
        final, predictions = self._scorer.final_metrics(scored)
        return metrics | final, predictions

    def _scored_weights(self, raw: ScoredWeights) -> list[ScoredWeights]:
        """Return the raw weights and, if there are any, the averaged weights."""
        averaged = self._average.model if self._average else None
        if self._average is None or averaged is None:
            return [raw]
        return [raw, self._scorer.score(self._average.weights, averaged)]

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot to resume from: copies of tensors, on the CPU, and plain values.

        Schedules are functions of the position and have no state of their own. With several ranks, each has to call
        this.
        """
        progress = self._progress
        part = self._pass if self._pass and not self._pass.complete else None
        return {
            "epoch": self._epoch,
            "pass": part and part.state_dict(self._rank.gather(part.of_this_rank())),
            "progress": progress and progress.state_dict(self._rank.gather(progress.of_this_rank())),
            "model": cpu_copy(self.model.state_dict()),
            **self._stepper.state_dict(),
            "patience": self._stopper.state_dict(),
            "averaging": self._average.state_dict() if self._average else None,
            "scaler": self._arithmetic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot of a training of the same recipe, task and seed.

        Raises:
            CheckpointError: The snapshot is from another model. This training must not be used afterwards.
        """
        try:
            self.model.load_state_dict(state["model"])
            self._stepper.load_state_dict(state)
            self._stopper.load_state_dict(state["patience"])
            if self._average:
                self._average.load_state_dict(state["averaging"])
            self._arithmetic.load_state_dict(state["scaler"])
            self._epoch = int(state["epoch"])
            self._progress = self._pass = None
            if state["progress"] is not None:
                self._progress = self._new_epoch()
                self._progress.load_state_dict(state["progress"], self._rank.index, self._device)
            if state["pass"] is not None:
                self._pass = self._new_pass(self._steps_done // self._steps_per_epoch)
                self._pass.load_state_dict(state["pass"], self._rank.index)
            if (found := self._pass.done if self._pass else 0) != self._steps_done % self._steps_per_epoch:
                raise ValueError(f"it has {found} steps of a pass after {self._steps_done} steps")
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"not a checkpoint of this training: {error}") from error

    def close(self) -> None:
        """End the processes that load the data."""
        self._data.close()
