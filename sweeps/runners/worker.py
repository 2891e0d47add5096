"""The worker: trains jobs and returns steps. It uses no database and no Ray, and makes no decisions.

This is the only file of `sweeps` that loads torch, and only when a job starts.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import CheckpointError, Recipe
from search_spaces.errors import RunError, SweepError
from search_spaces.specs.command_task import CommandTask
from sweeps.engine.messages import Job, Step
from sweeps.import_paths import add_import_paths, command_folder
from trainers.compute.cards import prepare_cuda, use_share
from trainers.compute.meter import Meter
from trainers.reports import START, EpochReport, Position
from trainers.storage.address import open_folder
from trainers.usage import Usage
from trainers.user_code import as_script

if TYPE_CHECKING:
    from trainers.factory import EpochTrainer

TRAINED_PER_SAVED = 20  # so that a large checkpoint within an epoch takes at most 5 % of the time
SLICE_S = 0.5  # seconds of training per step, so that the driver gets reports about this often

_NO_JOB = Step(error="the worker was asked to step without a job")


class GpuLostError(SweepError):
    """CUDA fails in this process from now on, also in other runs: the process has to end.

    Args:
        step: Step of the run whose error showed it.
    """

    def __init__(self, step: Step) -> None:
        super().__init__(
            "after an error of a run, its process can no longer use the GPU; the same command continues the sweep"
        )
        self.step = step


class Worker:
    """Trains one job after another; torch and the data of the task are loaded once.

    Args:
        interrupted: Returns whether a person has interrupted this process; any other ``KeyboardInterrupt`` was raised
            by the code of the task, and fails its run.
        keep: Takes what a command prints; by default, this process prints it.
    """

    def __init__(
        self, interrupted: Callable[[], bool] = lambda: False, keep: Callable[[bytes], None] | None = None
    ) -> None:
        self._interrupted = interrupted
        self._keep = keep or _print
        self._job: Job | None = None
        self._training: EpochTrainer | None = None
        self._meter: Meter | None = None
        self._fingerprint: Mapping[str, str] = {}
        self._reports_all = False
        self._failure = _NO_JOB
        self._saving_s = 0.0
        self._since_checkpoint_s = 0.0
        self._unfinished_s = 0.0
        self._stored = self._saved = START
        self._steps = 1
        self._warning: str | None = None

    def start(self, job: Job) -> None:
        """Start or resume a job from its newest valid checkpoint. `step` reports an error of it.

        Raises:
            GpuLostError: This process can no longer use the GPU.
        """
        self.close()
        self._job, self._failure = job, _NO_JOB
        self._meter = Meter(job.gpu, starts_processes=job.command is not None or job.processes > 1)
        self._since_checkpoint_s, self._fingerprint, self._warning = 0.0, {}, None
        self._reports_all = False
        self._unfinished_s, self._saving_s, self._steps = 0.0, 0.0, 1
        try:
            with as_script(job.task):
                self._training = self._open(job)
            self._fingerprint, self._reports_all = self._training.fingerprint, self._training.reports_all
            self._stored = self._saved = position(self._training)
        except BaseException as error:  # noqa: BLE001  the user's code may raise anything, also SystemExit
            self._failure = self._failed(error)

    def step(self) -> Step:
        """Train until a rung, a report that is awaited, the end, a non-finite value, or `SLICE_S`, and return the step.

        An epoch that takes longer than `SLICE_S` is trained in several steps, of which only the last one reports it.

        Raises:
            GpuLostError: This process can no longer use the GPU.
        """
        if self._training is None or self._job is None:
            return self._failure
        reports: list[EpochReport] = []
        try:
            self._checkpoint_if_due(self._job, self._training)
            with as_script(self._job.task):
                finished = self._advance(self._job, self._training, reports)
        except BaseException as error:  # noqa: BLE001  as above; the epochs before the error are kept
            return self._failed(error, tuple(reports))
        return Step(
            tuple(reports),
            finished,
            fingerprint=self._fingerprint,
            reports_all=self._reports_all,
            warning=self._warning,
            unfinished_s=self._unfinished_s,
            saved=self._saved,
            usage=self._usage(),
        )

    def close(self) -> None:
        """Drop the current job and end the processes that train it."""
        if self._training is not None:
            self._training.close()
        self._training = None

    def _usage(self) -> Usage | None:
        parameters = None if self._training is None else self._training.parameters
        return None if self._meter is None else self._meter.read(parameters)

    def _failed(self, error: BaseException, reports: tuple[EpochReport, ...] = ()) -> Step:
        """Return the step of a training that raised an error; raise a person's interrupt again."""
        if isinstance(error, KeyboardInterrupt) and self._interrupted():
            raise error
        usage = self._usage()
        if self._job is not None and self._job.command is not None and isinstance(error, RunError):
            return Step(reports, error=str(error), warning=self._warning, usage=usage)  # the traceback would be ours
        from trainers.compute import memory

        where = memory.memory_ran_out(error)
        lost = memory.gpu_is_lost()
        text = "".join(traceback.format_exception(error))
        if where is not None:
            text = f"out of memory {where}\n{text}"
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            self.close()
            memory.release()
        step = Step(reports, False, text, where is not None, self._fingerprint, self._reports_all, self._warning)
        step = replace(step, usage=usage)
        if lost:
            raise GpuLostError(step) from error
        return step

    def _open(self, job: Job) -> EpochTrainer:
        if job.command is not None:
            return self._open_command(job)
        prepare_cuda(job.gpu)
        import torch

        from trainers.compute import memory
        from trainers.factory import open_training
        from trainers.storage import checkpoints

        torch.set_num_threads(job.threads)
        add_import_paths(job.import_paths)
        recipe = Recipe.model_validate(job.recipe)
        use_share(job.gpu, recipe.precision.device)
        if job.gpu:
            memory.release()  # that of the last run, since others may share the GPU
        training = open_training(job.task, recipe, job.seed, job.processes)
        found = None
        with self._warned("checkpoints not read, trained from the start"):
            found = checkpoints.latest(open_folder(job.directory), job.recorded) if job.directory else None
        if found is None:
            return training
        try:
            training.load_state_dict(found[1])
        except CheckpointError:  # from another release or training: the run starts over, with the same values
            training.close()
            return open_training(job.task, recipe, job.seed, job.processes)
        return training

    def _open_command(self, job: Job) -> EpochTrainer:
        from trainers.command.start import open_start
        from trainers.command.training import CommandTraining

        task, recipe = CommandTask.model_validate(job.command), Recipe.model_validate(job.recipe)
        folder = job.folder or command_folder(job.import_paths)
        start = open_start(task, recipe, job.number, job.seed, job.attempt, Path(job.outputs), folder, job.gpu)
        return CommandTraining(task, start, recipe.budget, job.recorded, self._keep)

    def _advance(self, job: Job, training: EpochTrainer, reports: list[EpochReport]) -> bool:
        began = time.perf_counter()
        while not training.finished:
            before = training.epoch
            report = self._train(job, training)
            if report is not None:
                at_rung = report.epoch in job.rungs or passes_rung(job.rungs, before, report.epoch)
                awaited = report.awaited or at_rung
                reports.append(replace(report, awaited=awaited))
                if awaited or not report.finite:
                    break
            if time.perf_counter() - began > SLICE_S:
                break
        if training.finished:
            self._keep_weights(job, training)
        return training.finished

    def _train(self, job: Job, training: EpochTrainer) -> EpochReport | None:
        """Train for about `SLICE_S`, to the end of the epoch at most."""
        began = time.perf_counter()
        report = training.advance(self._steps)
        seconds = time.perf_counter() - began
        self._since_checkpoint_s += seconds
        if report is not None:
            self._unfinished_s = 0.0
            return report
        self._steps = next_steps(self._steps, seconds)  # a call that ends an epoch makes fewer steps, and evaluates
        if training.epoch >= job.recorded:  # the time of a repeated epoch is recorded
            self._unfinished_s += seconds
        return None

    def _checkpoint_if_due(self, job: Job, training: EpochTrainer) -> None:
        # At the start of a step, not at its end: by now the driver has recorded every epoch so far, so no
        # checkpoint is ever ahead of the database; and a run that is stopped at a rung costs no checkpoint there.
        here = position(training)
        every_s = max(job.checkpoint_every_s, TRAINED_PER_SAVED * self._saving_s if here.step else 0.0)
        at_rung = passes_rung(job.rungs, self._stored.epoch, here.epoch) and not here.step
        due = self._since_checkpoint_s >= every_s or at_rung
        if not due or here == self._stored:
            return
        began = time.perf_counter()
        state = training.state_dict()
        if job.directory and state is not None:
            from trainers.storage import checkpoints

            with self._warned("checkpoint not written"):
                checkpoints.save(open_folder(job.directory), here, state)
                self._saved = here
        self._since_checkpoint_s, self._stored, self._saving_s = 0.0, here, time.perf_counter() - began

    def _keep_weights(self, job: Job, training: EpochTrainer) -> None:
        state = training.state_dict()
        if job.directory and state is not None:
            from trainers.storage import checkpoints

            with self._warned("trained weights not written"):
                checkpoints.save_final(open_folder(job.directory), state)

    @contextmanager
    def _warned(self, what: str) -> Iterator[None]:
        # A full disk costs time after a crash, or the weights; every epoch is still recorded.
        try:
            yield
        except OSError as error:
            self._warning = f"{what}: {' '.join(str(error.strerror or error).split())}"


def _print(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def passes_rung(rungs: Sequence[int], before: int, after: int) -> bool:
    """Return whether there is a rung after one report, up to the next one: a report may come later than its rung."""
    return any(before < rung <= after for rung in rungs)


def position(training: EpochTrainer) -> Position:
    """Return the position of a training."""
    return Position(training.epoch, training.step)


def next_steps(steps: int, seconds: float) -> int:
    """Return how many optimizer steps to train at once: as many as fit in `SLICE_S`.

    Args:
        steps: Number of steps trained at once before. At most twice as many are returned, since some are faster.
        seconds: Time that they took.
    """
    fit = steps * SLICE_S / seconds if seconds > 0 else math.inf
    return max(1, int(min(fit, 2 * steps)))
