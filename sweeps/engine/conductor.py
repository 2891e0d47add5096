"""Decides which run trains next, and whether a run continues after each step. Read this file first.

Runners (in this process, or on Ray) get work from `Conductor.next_job`, pass every step of a worker to
`Conductor.report`, and follow the result. Every decision is recorded in the journal before it is returned, and the
writer brings it into the database a moment later. So a driver can crash between any two lines of this file, and the
next driver continues from the records as if nothing had happened.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from search_spaces import Asha, SpaceSpec, SweepError, recipe_hash
from search_spaces.seeds import derive_seed
from sweeps.engine.checkpoint_files import CheckpointFiles
from sweeps.engine.failures import alike
from sweeps.engine.live_run import LiveRun
from sweeps.engine.messages import Job, Step
from sweeps.engine.outcome import in_time, judge, over_time, printable, undefined, undefined_warning
from sweeps.engine.progress import best_run
from sweeps.listener import Listener
from sweeps.plan.asha import Rungs, rung_epochs
from sweeps.plan.plan import Plan
from sweeps.run_state import RunState
from sweeps.store.events import OutputRecorded, RunAdded, RunBegun, RunsInterrupted, StepRecorded, WeightsKept
from sweeps.store.records import RunOutcome
from sweeps.store.store import Store
from sweeps.store.writer import Writer
from sweeps.study.snapshot import RunSnapshot
from trainers.storage.folder import Folder

# A run whose workers died this often without recording an epoch or saving a further step in between is FAILED.
MAX_ATTEMPTS = 3
USAGE_EVERY_S = 30.0  # between two records of what a run has used; a death of the driver loses at most this much
MAX_ATTEMPTS_OF_MANY = 10  # the same if workers of other runs that can be trained died, too: the machine is the cause


class Conductor:
    """Connects the plan, early stopping and the records of one sweep.

    Args:
        spec: The space.
        store: The database; read once, at the start.
        sweep_id: Id of the sweep's row.
        writer: Records events; it has taken over the sweep.
        plan: Proposes the runs.
        checkpoints: Folder for the checkpoints of the sweep.
        listener: Notified of runs and epochs once the database has recorded them.
        import_paths: Folders from which workers import the user's own task.
        keep_going: Whether the sweep continues after its first runs have failed with the same error.

    Attributes:
        folders: Arm of an ablation -> folder in which its command runs, if that is not the driver's. It is set before
            the first job.
        nodes: Number of nodes on which runs are trained; a runner of a cluster keeps it up to date.
        gave_up: Error with which the first runs failed, and for which this command has stopped; None otherwise.
    """

    def __init__(
        self,
        spec: SpaceSpec,
        store: Store,
        sweep_id: int,
        writer: Writer,
        plan: Plan,
        checkpoints: Folder,
        listener: Listener = Listener(),  # noqa: B008  it does nothing
        import_paths: tuple[str, ...] = (),
        keep_going: bool = False,
    ) -> None:
        self.spec = spec
        self._writer = writer
        self.plan = plan
        self._files = CheckpointFiles(checkpoints)
        self._listener = listener
        self._import_paths = import_paths
        self._lock = threading.RLock()  # runners and the live view call from threads of their own
        self._draining = False
        self._keep_going = keep_going
        self._begun: dict[int, LiveRun] = {}  # by this command, in order
        self.nodes = 1
        self._failed_on: set[str | None] = set()  # nodes, in this command
        self.gave_up: str | None = None
        self.folders: Mapping[str, str] = {}
        self._rungs: Rungs
        self.rung_epochs = rung_epochs(spec.early_stopping, spec.recipe.budget)
        self.runs: list[LiveRun] = []
        self._queue: deque[LiveRun] = deque()
        self._kept: LiveRun | None = None  # the run whose weights are on disk
        self._live: dict[int, LiveRun] = {}
        self.first_report_at: float | None = None
        self.session_seconds = 0.0  # training time recorded by this driver
        self._take_over(store, sweep_id)

    # --- from the database ----------------------------------------------------------------------------------

    def _take_over(self, store: Store, sweep_id: int) -> None:
        """Read the state of the sweep. Unfinished runs are queued, so they are continued first."""
        curve = store.curve(sweep_id, self.spec.metric.name)
        self._seq = store.next_seq(sweep_id)
        self._rungs = self._rebuild_rungs(curve)
        records, finals = store.runs(sweep_id), store.final_metrics(sweep_id)
        self.runs = [LiveRun.of(record) for record in records]
        for number, epoch, value in curve:
            self.runs[number].curve[epoch] = value
        for number, final in finals.items():
            self.runs[number].final = final
        for number in store.printed(sweep_id):
            self.runs[number].printed = True
        self._queue.extend(run for run in self.runs if not run.state.finished)
        self._kept = self.best()
        self._files.tidy(wanted={run.number for run in (*self._queue, self._kept) if run is not None})
        # The last driver may have crashed while the best run changed.
        stored = {record.number: record.checkpoint for record in records if record.checkpoint is not None}
        path = None if self._kept is None else self._stored_weights(self._kept.number, stored.get(self._kept.number))
        if stored != ({} if self._kept is None or path is None else {self._kept.number: path}):
            self._writer.put(WeightsKept(None if self._kept is None else self._kept.number, path))
        if self._kept is not None:
            self._files.keep_final(self._kept.number)
        for run in self.runs:
            self._learn(run)

    def _stored_weights(self, number: int, known: str | None) -> str | None:
        """Return the location of the best run's weights; a driver with another folder may have written them there."""
        try:
            found = self._files.final(number)
        except OSError as error:
            raise SweepError(
                f"{self._files.root}: cannot be read ({printable(str(error))}); try again later"
            ) from error
        return known if found is None and known != self._files.place(number) else found

    def _rebuild_rungs(self, curve: tuple[tuple[int, int, float], ...]) -> Rungs:
        rule = self.spec.early_stopping
        factor = rule.reduction_factor if isinstance(rule, Asha) else 1
        finite = [(number, epoch, value) for number, epoch, value in curve if math.isfinite(value)]
        return Rungs(self.rung_epochs, factor, self.spec.metric.goal, finite, self.spec.recipe.budget.length)

    # --- to the runner --------------------------------------------------------------------------------------

    def next_job(self, ray_trial_id: str | None = None) -> Job | None:
        """Return the next run to train, recorded as RUNNING; None if there is none at the moment or none left."""
        with self._lock:
            if self._draining:
                return None
            self._writer.check()
            if self._queue:
                run = self._queue.popleft()
            elif len(self.runs) < self.plan.available:
                run = self._add_run(len(self.runs))
            else:
                return None
            run.state = RunState.RUNNING
            self._begun.setdefault(run.number, run)
            run.attempts += 1
            run.unfinished_s, run.usage, run.usage_recorded_s = 0.0, None, 0.0
            now = datetime.now(UTC)
            run.started_at = run.started_at or now
            self._writer.put(RunBegun(run.number, run.attempts, now, ray_trial_id))
            self._live[run.number] = run
            self._notify(self._listener.run_begins, self._learn(run))
            return self._job(run)

    @property
    def idle(self) -> bool:
        """Whether no run is training and none is left to start: the runner has finished."""
        with self._lock:
            nothing_left = self._draining or (not self._queue and len(self.runs) >= self.plan.total)
            return nothing_left and not self._live

    @property
    def finished(self) -> bool:
        """Whether every planned run has ended."""
        with self._lock:
            return len(self.runs) >= self.plan.total and all(run.state.finished for run in self.runs)

    def report(self, number: int, step: Step, node: str | None = None) -> bool:
        """Record a step and return whether the run continues; if not, its worker is free.

        Args:
            number: Number of the run.
            step: Epochs or error of the worker.
            node: Name of the node in the cluster; None without a cluster.
        """
        with self._lock:
            run = self._live[number]
            self._writer.check()
            if self.first_report_at is None:
                self.first_report_at = time.monotonic()
            outcome = judge(step, run, self.spec.metric.name, self._rungs, self._draining)
            outcome = in_time(outcome, run, step, self.spec.time_limit_s)
            new = tuple(report for report in step.reports if report.epoch > run.epoch or report.late)
            usage = run.take_usage(step.usage, USAGE_EVERY_S if outcome.state is RunState.RUNNING else 0.0)
            if new or usage or outcome.state is not RunState.RUNNING:  # else nothing has changed within an epoch
                # Without repeated epochs, which would leave gaps in the order of recording.
                self._record(number, outcome, replace(step, reports=new, usage=usage), node)
            self._remember(run, step, outcome)
            if run.state is RunState.FAILED:
                self._failed_on.add(node)
            if run.state is not RunState.RUNNING:
                self._close(run)
                self._stop_if_alike()
            snapshot = self._learn(run)
            for report in new:
                self._notify(self._listener.epoch_recorded, snapshot, report.epoch, report.metrics)
            if run.state is not RunState.RUNNING:
                self._notify(self._listener.run_ends, snapshot)
            return run.state is RunState.RUNNING

    def record_output(self, number: int, text: str) -> None:
        """Record the last lines that a run has printed in its latest attempt, in place of those recorded before."""
        with self._lock:
            run = self.runs[number]
            run.printed = True
            self._writer.put(OutputRecorded(number, run.attempts, text, datetime.now(UTC)))

    def expired(self, number: int, quiet_s: float) -> bool:
        """Return whether a run exceeds its time limit. Such a run is FAILED, and the caller stops its worker.

        Args:
            number: Number of the run.
            quiet_s: Seconds since its worker last reported.
        """
        with self._lock:
            run, limit = self._live[number], self.spec.time_limit_s
            if limit is None or run.seconds + run.unfinished_s + quiet_s <= limit:
                return False
            self.report(number, Step(error=over_time(limit, run, quiet_s)))
            return True

    def lost(self, number: int, reason: str) -> None:
        """Handle the death of a worker: queue its run again, or fail it after too many deaths without progress."""
        with self._lock:
            self._writer.check()
            run = self._live.pop(number)
            run.deaths += 1
            run.deaths_without_progress += 1
            machine = any(other.killed_at_work for other in self.runs if other is not run)
            if run.deaths_without_progress < (MAX_ATTEMPTS_OF_MANY if machine else MAX_ATTEMPTS):
                state = RunState.INTERRUPTED
                self._queue.append(run)
            else:
                state = RunState.FAILED
                times = run.deaths_without_progress
                run.error = f"its worker died {times} times without saving a further step; last: {printable(reason)}"
            run.state = state
            self._record(number, RunOutcome(state, error=run.error), Step(usage=run.take_usage(None, 0.0)))
            if state.finished:
                self._drop(run)
                self._stop_if_alike()
            self._notify(self._listener.run_ends, self._learn(run))

    def put_back(self, number: int) -> None:
        """Take back a run that no worker has begun; it is trained next, by this driver or by the next one."""
        with self._lock:
            run = self._live.pop(number)
            run.state = RunState.INTERRUPTED
            if not self._draining:
                self._queue.append(run)
            self._record(number, RunOutcome(run.state), Step(usage=run.take_usage(None, 0.0)))
            self._notify(self._listener.run_ends, self._learn(run))

    def _stop_if_alike(self) -> None:
        """Start no more runs if the first ones failed with the same error and none has ended otherwise."""
        error = None if self._keep_going or self.finished else alike(self._begun.values(), self.nodes, self._failed_on)
        if error is not None:
            self.gave_up = error
            self.drain()

    def drain(self) -> None:
        """Start no more runs, and interrupt every run after its current step."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    def close(self) -> None:
        """Mark every RUNNING run as INTERRUPTED, unless another driver has taken over the sweep."""
        with self._lock:
            try:
                self._writer.put(RunsInterrupted())
            except SweepError:
                return
            for run in self.runs:
                if run.state is RunState.RUNNING:
                    run.state = RunState.INTERRUPTED
                    self._notify(self._listener.run_ends, self._learn(run))

    # --- records -------------------------------------------------------------------------------------------

    def _record(self, number: int, outcome: RunOutcome, step: Step = Step(), node: str | None = None) -> None:  # noqa: B008  it is frozen
        now, attempt = datetime.now(UTC), self.runs[number].attempts
        recorded = (step.reports, self._seq, outcome, now, step.fingerprint, node, attempt, step.usage)
        self._writer.put(StepRecorded(number, *recorded))
        self._seq += len(step.reports)

    def _remember(self, run: LiveRun, step: Step, outcome: RunOutcome) -> None:
        if step.saved > run.saved or any(report.epoch > run.epoch for report in step.reports):
            run.deaths_without_progress = 0
        run.saved = max(run.saved, step.saved)
        for report in step.reports:
            run.keep_last(report)
            if self.spec.metric.name in report.metrics:
                run.curve.setdefault(report.epoch, report.metrics[self.spec.metric.name])
            if report.epoch > run.epoch:
                run.epoch = report.epoch
                run.seconds += report.seconds
                self.session_seconds += report.seconds
        run.unfinished_s = step.unfinished_s
        run.out_of_memory |= step.out_of_memory
        unit = run.recipe.budget.unit
        run.undefined |= undefined(step.reports, self.spec.metric.name)
        run.warning = step.warning or undefined_warning(run.undefined, self.spec.metric.name, unit) or run.warning
        run.state, run.value, run.error = outcome.state, outcome.value, outcome.error
        if outcome.state.finished:
            run.finished_at = datetime.now(UTC)

    def _close(self, run: LiveRun) -> None:
        """Handle a run that has left its worker. Only the best complete run keeps its weights."""
        del self._live[run.number]
        if run.state is RunState.INTERRUPTED:
            if not self._draining:  # it is tried again
                self._queue.append(run)
            return
        if run is not self.best():
            self._drop(run)
            return
        if self._kept is not None:
            self._drop(self._kept)
        path = None
        with suppress(OSError):  # an unreachable folder does not end the sweep; the next driver reads it again
            path = self._files.final(run.number)
        self._writer.put(WeightsKept(run.number, path))
        self._writer.then(partial(self._files.keep_final, run.number))
        self._kept = run

    def _drop(self, run: LiveRun) -> None:
        # After the database has it: a driver that has lost its lease without noticing must not touch the files.
        self._writer.then(partial(self._files.remove, run.number))

    def best(self) -> LiveRun | None:
        """Return the complete run with the best value; of two equal ones, the earlier."""
        return best_run(list(self.runs), self.spec.metric.goal)

    # --- helpers --------------------------------------------------------------------------------------------

    def _add_run(self, number: int) -> LiveRun:
        planned = self.plan.propose(number)
        digest = recipe_hash(planned.recipe)
        seed = self._shared_seed(digest) if planned.seed is None else planned.seed
        recipe, place = planned.recipe.model_dump(mode="json"), (planned.arm, planned.pair, planned.design)
        self._writer.put(RunAdded(number, recipe, digest, seed, *place))
        run = LiveRun(number, planned.recipe, digest, seed, RunState.INTERRUPTED, *place)
        self.runs.append(run)
        return run

    def _shared_seed(self, digest: str) -> int:
        # All runs of a sweep share their random streams, so that they differ only in their recipes. A recipe that is
        # proposed again is a repetition and gets new streams.
        repetition = sum(run.recipe_hash == digest for run in self.runs)
        return derive_seed("sweep", self.spec.sampler.seed, repetition)

    def _job(self, run: LiveRun) -> Job:
        return Job(
            number=run.number,
            task=self.spec.task_name,
            recipe=run.recipe.model_dump(mode="json"),
            seed=run.seed,
            rungs=self.rung_epochs,
            directory=str(self._files.folder(run.number)),
            checkpoint_every_s=self.spec.checkpoint_every_s,
            threads=max(1, int(self.spec.resources.cpu)),
            import_paths=self._import_paths,
            processes=self.spec.resources.processes,
            recorded=run.epoch,
            command=None if self.spec.command is None else self.spec.command.model_dump(mode="json"),
            attempt=run.attempts,
            outputs=self._files.outputs(run.number),
            gpu=self.spec.resources.gpu,
            folder=self.folders.get(run.arm, ""),
        )

    @property
    def code_folder(self) -> Path:
        """Folder for the files of other revisions that the arms of an ablation run."""
        return Path(self._files.code())

    def snapshots(self) -> list[RunSnapshot]:
        """Return a snapshot of every run, by number."""
        return [run.view(self.plan.values(run)) for run in self.runs]

    def _learn(self, run: LiveRun) -> RunSnapshot:
        """Pass the state of a run to the plan."""
        snapshot = run.view(self.plan.values(run))
        self.plan.learn(snapshot)
        return snapshot

    def _notify(self, method: Callable[..., None], *arguments: object) -> None:
        """Call a method of the listener once the database has everything recorded so far."""
        self._writer.then(partial(method, *arguments))
