"""Decides what runs next and what becomes of a run after each step. THE file to read first.

Runners (in this process, or Ray) ask `Conductor.next_job` for work, hand every step that a worker made to
`Conductor.report`, and obey its answer. Every answer is recorded before it is given, so a driver can die between any
two lines of this file and its successor goes on from the database as if nothing had happened.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_spaces import Asha, SpaceSpec, SweepError, recipe_hash
from search_spaces.seeds import derive_seed
from sweeps.asha import Rungs, rung_epochs
from sweeps.checkpoint_files import CheckpointFiles
from sweeps.live_run import LiveRun
from sweeps.plan import Plan
from sweeps.records import Outcome
from sweeps.standing import best_run
from sweeps.store import Store
from sweeps.tables import RunState
from sweeps.trial_view import TrialView
from sweeps.worker import Job, Step
from trainers.reports import EpochReport

MAX_ATTEMPTS = 3  # a run whose worker died this often without recording an epoch in between is FAILED


class Conductor:
    """Meets the plan, early stopping and the store.

    Args:
        spec: The space.
        store: The database; the caller holds the lease.
        sweep_id: The sweep's row there.
        plan: What is to be run.
        checkpoints: The folder of the sweep's checkpoints.
        check: Called before every write; raises when this driver must not write any more.
        watch: Called with the view of every run that changed, for the study that the dashboard shows.
        import_paths: Folders where workers look for the user's own task.
    """

    def __init__(
        self,
        spec: SpaceSpec,
        store: Store,
        sweep_id: int,
        plan: Plan,
        checkpoints: Path,
        check: Callable[[], None] = lambda: None,
        watch: Callable[[TrialView], None] = lambda view: None,
        import_paths: tuple[str, ...] = (),
    ) -> None:
        self.spec = spec
        self._store = store
        self._sweep_id = sweep_id
        self.plan = plan
        self._files = CheckpointFiles(checkpoints)
        self._check = check
        self._watch = watch
        self._import_paths = import_paths
        self._lock = threading.RLock()  # progress reads from its own thread
        self._draining = False
        self._rungs: Rungs
        self.rung_epochs = rung_epochs(spec.early_stopping, spec.recipe.budget.epochs)
        self.runs: list[LiveRun] = []
        self._queue: deque[LiveRun] = deque()
        self._kept: LiveRun | None = None  # the run whose weights are on disk
        self._live: dict[int, LiveRun] = {}
        self.first_report_at: float | None = None
        self.session_seconds = 0.0  # of training, recorded by this driver
        self._take_over()

    # --- from the database ----------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Read where the sweep stands; whatever was RUNNING lost its driver and is continued first."""
        self._check()
        self._store.interrupt_runs(self._sweep_id)
        curve = self._store.curve(self._sweep_id, self.spec.metric.name)
        self._seq = self._store.next_seq(self._sweep_id)
        self._rungs = self._rebuild_rungs(curve)
        records = self._store.runs(self._sweep_id)
        self.runs = [LiveRun.of(record) for record in records]
        for number, epoch, value in curve:
            self.runs[number].curve[epoch] = value
        self._queue.extend(run for run in self.runs if not run.state.finished)
        self._kept = self.best()
        self._files.tidy(wanted={run.number for run in (*self._queue, self._kept) if run is not None})
        for record in records:  # a driver may have died while the best run changed
            kept = self._kept is not None and record.number == self._kept.number
            path = self._files.keep_final(record.number) if kept else None
            if path != record.checkpoint:
                self._store.set_checkpoint(record.id, path)
        for run in self.runs:
            self._tell(run)

    def _rebuild_rungs(self, curve: tuple[tuple[int, int, float], ...]) -> Rungs:
        rule = self.spec.early_stopping
        factor = rule.reduction_factor if isinstance(rule, Asha) else 1
        finite = [(number, epoch, value) for number, epoch, value in curve if math.isfinite(value)]
        return Rungs(self.rung_epochs, factor, self.spec.metric.goal, finite)

    # --- to the runner --------------------------------------------------------------------------------------

    def next_job(self, ray_trial_id: str | None = None) -> Job | None:
        """The next run to train, recorded as RUNNING; None when there is none now, or none any more."""
        with self._lock:
            if self._draining:
                return None
            self._check()
            if self._queue:
                run = self._queue.popleft()
            elif len(self.runs) < self.plan.available:
                run = self._add_run(len(self.runs))
            else:
                return None
            run.state = RunState.RUNNING
            run.started_at = run.started_at or datetime.now(UTC)
            self._store.begin(run.id, ray_trial_id)
            self._live[run.id] = run
            self._tell(run)
            return self._job(run)

    @property
    def idle(self) -> bool:
        """Nothing runs, and nothing is left to hand out: the runner's work is over."""
        with self._lock:
            nothing_left = self._draining or (not self._queue and len(self.runs) >= self.plan.total)
            return nothing_left and not self._live

    @property
    def finished(self) -> bool:
        """Every planned run has ended."""
        with self._lock:
            return len(self.runs) >= self.plan.total and all(run.state.finished for run in self.runs)

    def report(self, run_id: int, step: Step) -> bool:
        """Record what a worker did; True: go on with this run, False: its worker is free."""
        with self._lock:
            run = self._live[run_id]
            self._check()
            if self.first_report_at is None:
                self.first_report_at = time.monotonic()
            outcome = self._outcome(run, step)
            self._store.record(run_id, step.reports, self._seq, outcome, step.fingerprint)
            self._seq += len(step.reports)
            self._remember(run, step.reports, outcome)
            if run.state is not RunState.RUNNING:
                self._close(run)
            self._tell(run)
            return run.state is RunState.RUNNING

    def lost(self, run_id: int, reason: str) -> None:
        """The worker of this run died: the run goes back to the queue, unless that gets it nowhere."""
        with self._lock:
            self._check()
            run = self._live.pop(run_id)
            run.fruitless += 1
            if run.fruitless < MAX_ATTEMPTS:
                state = RunState.INTERRUPTED
                self._queue.append(run)
            else:
                state = RunState.FAILED
                run.error = f"its worker died {run.fruitless} times without finishing an epoch; last: {reason}"
            run.state = state
            self._store.record(run_id, (), self._seq, Outcome(state, error=run.error))
            if state.finished:
                self._files.remove(run.number)
            self._tell(run)

    def give_back(self, run_id: int) -> None:
        """No worker has begun this run, and none will: it waits for the next driver."""
        with self._lock:
            self._check()
            run = self._live.pop(run_id)
            run.state = RunState.INTERRUPTED
            self._store.record(run_id, (), self._seq, Outcome(run.state))
            self._tell(run)

    def drain(self) -> None:
        """Hand out nothing more, and let every run end with the step that it is in."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    def close(self) -> None:
        """Leave no run RUNNING behind, unless another driver has taken them over."""
        with self._lock:
            try:
                self._check()
            except SweepError:
                return
            self._store.interrupt_runs(self._sweep_id)
            for run in self.runs:
                if run.state is RunState.RUNNING:
                    run.state = RunState.INTERRUPTED
                    self._tell(run)

    # --- decisions ------------------------------------------------------------------------------------------

    def _outcome(self, run: LiveRun, step: Step) -> Outcome:
        """What the step makes of its run. The baseline enters the rungs like every run, and is never stopped."""
        name, value = self.spec.metric.name, run.value
        for report in step.reports:
            found = report.metrics.get(name)
            if found is None:
                return Outcome(RunState.FAILED, value, error=_no_metric(name, report))
            if math.isfinite(found):
                value = found
            # Before the next line: a recorded value counts at its rung, whatever else its epoch reported.
            stops = math.isfinite(found) and self._rungs.stops(run.number, report.epoch, found)
            if not report.finite:
                return Outcome(RunState.DIVERGED, value)
            if stops and run.number != 0:
                return Outcome(RunState.STOPPED, value)
        if step.error is not None:
            return Outcome(RunState.FAILED, value, error=step.error)
        if step.finished:
            return Outcome(RunState.COMPLETE, value)
        return Outcome(RunState.INTERRUPTED if self._draining else RunState.RUNNING, value)

    def _remember(self, run: LiveRun, reports: tuple[EpochReport, ...], outcome: Outcome) -> None:
        for report in reports:
            run.curve.setdefault(report.epoch, report.metrics.get(self.spec.metric.name, math.nan))
            if report.epoch > run.epoch:
                run.epoch = report.epoch
                run.seconds += report.seconds
                self.session_seconds += report.seconds
        if reports:
            run.fruitless = 0
        run.state, run.value, run.error = outcome.state, outcome.value, outcome.error
        if outcome.state.finished:
            run.finished_at = datetime.now(UTC)

    def _close(self, run: LiveRun) -> None:
        """The run has left its worker. Only the best complete run keeps its weights."""
        del self._live[run.id]
        if run.state is RunState.INTERRUPTED:
            return
        if run is not self.best():
            self._files.remove(run.number)
            return
        if self._kept is not None:
            self._files.remove(self._kept.number)
            self._store.set_checkpoint(self._kept.id, None)
        self._store.set_checkpoint(run.id, self._files.keep_final(run.number))
        self._kept = run

    def best(self) -> LiveRun | None:
        """The complete run with the best value; the earlier one of two equal."""
        return best_run(list(self.runs), self.spec.metric.goal)

    # --- helpers --------------------------------------------------------------------------------------------

    def _add_run(self, number: int) -> LiveRun:
        planned = self.plan.propose(number)
        digest = recipe_hash(planned.recipe)
        seed = self._shared_seed(digest) if planned.seed is None else planned.seed
        recipe: dict[str, Any] = planned.recipe.model_dump(mode="json")
        arm, pair, design = planned.arm, planned.pair, planned.design
        run_id = self._store.add_run(self._sweep_id, number, recipe, digest, seed, arm, pair, design)
        run = LiveRun(run_id, number, planned.recipe, digest, seed, RunState.INTERRUPTED, arm, pair, design)
        self.runs.append(run)
        return run

    def _shared_seed(self, digest: str) -> int:
        # All runs of a sweep share their random streams, so that they differ by their recipes alone; a recipe that is
        # proposed again is a repetition, and gets the next streams.
        repetition = sum(run.recipe_hash == digest for run in self.runs)
        return derive_seed("sweep", self.spec.sampler.seed, repetition)

    def _job(self, run: LiveRun) -> Job:
        return Job(
            run_id=run.id,
            number=run.number,
            task=self.spec.task,
            recipe=run.recipe.model_dump(mode="json"),
            seed=run.seed,
            rungs=self.rung_epochs,
            directory=str(self._files.folder(run.number)),
            checkpoint_every_s=self.spec.checkpoint_every_s,
            threads=max(1, int(self.spec.resources.cpu)),
            import_paths=self._import_paths,
            processes=self.spec.resources.processes,
        )

    def _tell(self, run: LiveRun) -> None:
        view = run.view(self.plan.values(run))
        self.plan.learn(view)
        self._watch(view)


def _no_metric(name: str, report: EpochReport) -> str:
    return f"epoch {report.epoch} reported no {name!r}; it reported {', '.join(sorted(report.metrics))}"
