"""Stand-ins for training: learning curves that are formulas, and a runner that plays them in milliseconds."""

from __future__ import annotations

import math
import random
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from search_spaces import (
    AdamW,
    Asha,
    Budget,
    Choice,
    LogUniform,
    Metric,
    Recipe,
    Sampler,
    SpaceSpec,
    Uniform,
    dump_space,
    recipe_hash,
)
from search_spaces.seeds import derive_seed
from sweeps.engine.conductor import Conductor
from sweeps.engine.messages import Job, Step
from sweeps.listener import Listener
from sweeps.plan.search_plan import SearchPlan
from sweeps.run_state import RunState
from sweeps.store.database import connect
from sweeps.store.events import Event
from sweeps.store.lease import owner_name
from sweeps.store.records import Fence
from sweeps.store.store import Store
from sweeps.store.writer import Writer
from sweeps.study.snapshot import RunSnapshot
from trainers.reports import EpochReport
from trainers.storage.local import LocalFolder

Curve = Callable[[Recipe, int], Mapping[str, float]]
"""(recipe, epoch) -> metrics of the epoch."""


def states(conductor: Conductor) -> Counter[str]:
    """Return the number of runs in each state."""
    return Counter(run.state.value for run in conductor.runs)


def space(**changes: Any) -> SpaceSpec:
    """Return a small space; every part can be replaced."""
    parts: dict[str, Any] = {
        "name": "toy",
        "task": "digits",
        "metric": Metric(name="val/accuracy", goal="maximize"),
        "recipe": Recipe(optimizer=AdamW(lr=1e-3), budget=Budget(epochs=9)),
        "search": {
            "optimizer.lr": LogUniform(1e-5, 1e-1),
            "optimizer.betas.1": Choice([0.95, 0.98, 0.999]),
            "schedule.warmup": Uniform(0.0, 0.3),
        },
        "sampler": Sampler(kind="random"),
        "early_stopping": Asha(grace_epochs=1, reduction_factor=3),
        "runs": 12,
    }
    return SpaceSpec(**(parts | changes))


# --- curves -----------------------------------------------------------------------------------------------------


def analytic(recipe: Recipe, epoch: int) -> dict[str, float]:
    """Rises towards a plateau that is highest at a learning rate of 1e-2; curves of similar recipes cross."""
    plateau = math.exp(-((math.log10(recipe.optimizer.lr) + 2) ** 2) / 2)
    wiggle = derive_seed(recipe_hash(recipe), epoch) / 2**63 - 0.5
    accuracy = plateau * (1 - 0.6**epoch) + 0.05 * wiggle
    return {"val/accuracy": accuracy, "val/nll": 2.0 - accuracy, "train/loss": 2.5 - accuracy}


def unstable(recipe: Recipe, epoch: int) -> dict[str, float]:
    """Return the same as `analytic`, but a NaN loss from the third epoch on for large learning rates."""
    metrics = analytic(recipe, epoch)
    return metrics | {"train/loss": math.nan} if recipe.optimizer.lr > 0.02 and epoch >= 3 else metrics


# --- the runner -------------------------------------------------------------------------------------------------


class DriverDiedError(Exception):
    """Simulates ``kill -9`` of the driver."""


@dataclass
class CurveTraining:
    """One job on a simulated worker; its checkpoints are empty files with the epoch in their names."""

    job: Job
    curve: Curve
    longest_step: int = 3
    recipe: Recipe = field(init=False)
    epoch: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.recipe = Recipe.model_validate(self.job.recipe)
        stored = [int(path.stem[6:]) for path in self._folder.glob("epoch-*.ckpt")]
        self.epoch = max((epoch for epoch in stored if epoch <= self.job.recorded), default=0)

    @property
    def _folder(self) -> Path:
        return Path(self.job.directory)

    def step(self, rng: random.Random) -> Step:
        """Train some epochs, never past a rung, the budget or a number that is not finite."""
        self._save(f"epoch-{self.epoch:06d}.ckpt")
        reports: list[EpochReport] = []
        budget = self.recipe.budget.epochs
        try:
            for _ in range(rng.randint(1, self.longest_step)):
                reports.append(EpochReport(self.epoch + 1, self.curve(self.recipe, self.epoch + 1), 0.5))
                self.epoch += 1
                if self.epoch in self.job.rungs or self.epoch == budget or not reports[-1].finite:
                    break
        except Exception:  # noqa: BLE001  a worker does the same
            return Step(tuple(reports), error=traceback.format_exc())
        if self.epoch == budget:
            self._save("final.ckpt")
        return Step(tuple(reports), self.epoch == budget)

    def _save(self, name: str) -> None:
        if self.epoch:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / name).touch()


class CurveRunner:
    """Drives a conductor without torch: several runs at a time, which take turns in a random order.

    Args:
        curve: Function that returns the metrics of an epoch.
        slots: Number of runs at a time.
        seed: Seed for the order in which workers report.
        die_after: Number of steps after which `DriverDiedError` is raised instead of reporting the next one.
        kill: Run number -> number of its workers that die before they report anything.
        drain_after: Number of steps after which the conductor is drained.
        by_job: Function that returns the curve of a job, if its seed matters; replaces `curve`.
    """

    def __init__(
        self,
        curve: Curve = analytic,
        slots: int = 4,
        seed: int = 0,
        die_after: int | None = None,
        kill: Mapping[int, int] | None = None,
        drain_after: int | None = None,
        by_job: Callable[[Job], Curve] | None = None,
    ) -> None:
        self.slots = slots
        self._curve = by_job or (lambda job: curve)
        self._rng = random.Random(seed)
        self._die_after = die_after
        self._kill = dict(kill or {})
        self._drain_after = drain_after
        self.steps = 0

    def run(self, conductor: Conductor) -> None:
        working: dict[int, CurveTraining] = {}
        while True:
            while len(working) < self.slots and (job := conductor.next_job()) is not None:
                working[job.number] = CurveTraining(job, self._curve(job))
            if not working:
                return
            self._turn(conductor, working)

    def _turn(self, conductor: Conductor, working: dict[int, CurveTraining]) -> None:
        number = self._rng.choice(sorted(working))
        if self._kill.get(number, 0):
            self._kill[number] -= 1
            del working[number]
            conductor.lost(number, "killed")
            return
        step = working[number].step(self._rng)
        if self._die_after == self.steps:
            raise DriverDiedError
        self.steps += 1
        if self.steps == self._drain_after:
            conductor.drain()
        if not conductor.report(number, step):
            del working[number]


class Death:
    """Kills a driver at the n-th call of certain methods, right before or right after it.

    Args:
        moments: Number n of the call.
        after: Whether the driver dies after the call.
    """

    def __init__(self, moments: int, after: bool) -> None:
        self._left = moments
        self._after = after

    def around(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method, or die."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise DriverDiedError
        answer = method(*arguments, **named)
        if self._left == 0:
            raise DriverDiedError
        return answer


class MortalStore:
    """A store whose driver dies before or after a transaction that writes."""

    WRITES = ("take_over", "write", "mark_complete")

    def __init__(self, store: Store, death: Death) -> None:
        self._store = store
        self._death = death

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._death.around, found) if name in self.WRITES else found


class PatchyWriter(Writer):
    """A writer on the caller's thread, so that a test knows what is written; some events may wait.

    Args:
        patience: Number of events that wait before the next ones are written with them; 0 writes each at once.
        death: Kills the driver before or after an append to the journal.
    """

    def __init__(self, *arguments: Any, patience: int = 0, death: Death | None = None, **named: Any) -> None:
        self._backlog = patience
        self._death = death
        super().__init__(*arguments, **named)
        if death is not None:
            self._journal.append = partial(death.around, self._journal.append)  # type: ignore[method-assign]

    def put(self, event: Event) -> None:
        super().put(event)
        self._write_all(self._backlog)

    def then(self, action: Callable[[], None]) -> None:
        super().then(action)
        self._write_all(self._backlog)

    def flush(self, timeout_s: float = 0.0) -> bool:
        self._write_all(0)
        return super().flush(timeout_s)

    def _write_all(self, backlog: int) -> None:
        while len(self._queue) > backlog:
            self.write()


class Watch(Listener):
    """Calls a function with every snapshot of a run."""

    def __init__(self, watch: Callable[[RunSnapshot], None]) -> None:
        self._watch = watch

    def run_begins(self, run: RunSnapshot) -> None:
        self._watch(run)

    def epoch_recorded(self, run: RunSnapshot, epoch: int, metrics: Mapping[str, float]) -> None:
        self._watch(run)

    def run_ends(self, run: RunSnapshot) -> None:
        self._watch(run)


def snapshot_of(number: int, state: RunState = RunState.COMPLETE, **changes: Any) -> RunSnapshot:
    """Return a snapshot of a run, by default with the default recipe."""
    parts: dict[str, Any] = {"recipe": Recipe(), "recipe_hash": str(number), "seed": 0}
    return RunSnapshot(number=number, state=state, **(parts | changes))


# --- sweeps -----------------------------------------------------------------------------------------------------


def add_sweep(store: Store, spec: SpaceSpec) -> int:
    """Add the row of a sweep if it is missing; return its id."""
    if store.sweep(spec.name) is None:
        store.put_sweep(
            spec.name, "sweep", dump_space(spec), spec.metric.name, spec.metric.goal, spec.sampler.seed, {"python": "3"}
        )
    sweep = store.sweep(spec.name)
    assert sweep is not None
    return sweep.id


def take(store: Store, spec: SpaceSpec) -> Fence:
    """Take the lease of a sweep for an hour, even from another holder."""
    sweep_id = add_sweep(store, spec)
    holder = store.sweep(spec.name)
    assert holder is not None
    fence = store.take_lease(sweep_id, owner_name(), 3600, instead_of=holder.lease_owner)
    assert fence is not None
    return fence


def writer_of(store: Store | MortalStore, spec: SpaceSpec, folder: Path, **options: Any) -> PatchyWriter:
    """Return a writer that takes over the sweep; its journal is beside the folder."""
    fence = take(store, spec)  # type: ignore[arg-type]
    return PatchyWriter(store, fence, folder.with_name(f"{folder.name}.journal"), **options)


def conductor_of(
    spec: SpaceSpec, store: Store | MortalStore, folder: Path, writer: Writer | None = None, **options: Any
) -> Conductor:
    """Return a conductor that begins or continues the sweep of a space."""
    writer = writer or writer_of(store, spec, folder)
    sweep_id = add_sweep(store, spec)  # type: ignore[arg-type]
    return Conductor(spec, store, sweep_id, writer, SearchPlan(spec), LocalFolder(folder), **options)  # type: ignore[arg-type]


def run_sweep(
    spec: SpaceSpec, url: str, folder: Path, runner: CurveRunner | None = None, patience: int = 0
) -> Conductor:
    """Run a sweep as one command does; return the conductor."""
    with Store(url) as store:
        writer = writer_of(store, spec, folder, patience=patience)
        conductor = conductor_of(spec, store, folder, writer)
        try:
            (runner or CurveRunner()).run(conductor)
        finally:
            conductor.close()
        mark_complete(store, writer)
        return conductor


def mark_complete(store: Store, writer: PatchyWriter) -> None:
    """End a driver in order."""
    assert writer.flush()
    store.mark_complete(writer.fence)
    store.renew_lease(writer.fence, None)


def rows(url: str, query: str, **values: Any) -> list[Any]:
    """Return the rows of a query, without any of our own code."""
    engine = connect(url)
    try:
        with engine.begin() as connection:
            return list(connection.execute(text(query), values))
    finally:
        engine.dispose()


def snapshot(url: str) -> dict[tuple[int, int, str], tuple[float | None, int]]:
    """Return every recorded metric with its sequence number."""
    found = rows(url, "SELECT run_id, epoch, name, value, seq FROM epoch_metric")
    return {(run_id, epoch, name): (value, seq) for run_id, epoch, name, value, seq in found}


def broken_rules(url: str, spec: SpaceSpec) -> list[str]:
    """Return the rules that a finished sweep in the database breaks, from its rows alone."""
    runs = {
        number: (state, epoch)
        for number, state, epoch in rows(
            url,
            "SELECT number, state, epoch FROM run WHERE sweep_id = (SELECT id FROM sweep WHERE name = :name)",
            name=spec.name,
        )
    }
    broken = [] if sorted(runs) == list(range(spec.runs)) else [f"runs {sorted(runs)}, planned {spec.runs}"]
    broken += [f"run {number} is {state}" for number, (state, _) in runs.items() if state in ("RUNNING", "INTERRUPTED")]
    curve = rows(
        url,
        "SELECT run.number, epoch_metric.epoch, epoch_metric.value, seq FROM epoch_metric JOIN run ON run.id = run_id "
        "WHERE name = :metric AND sweep_id = (SELECT id FROM sweep WHERE name = :name) ORDER BY seq",
        metric=spec.metric.name,
        name=spec.name,
    )
    for number, (state, epoch) in runs.items():
        epochs = sorted(found for other, found, _, _ in curve if other == number)
        if epochs != list(range(1, epoch + 1)):
            broken.append(f"run {number} is at epoch {epoch} and has epochs {epochs}")
        if state == "COMPLETE" and epoch != spec.recipe.budget.epochs:
            broken.append(f"run {number} is complete after {epoch} epochs")
    return broken + _wrong_stops(spec, runs, curve)


def _wrong_stops(spec: SpaceSpec, runs: Mapping[int, tuple[str, int]], curve: list[Any]) -> list[str]:
    """Replay the records: at a rung, a run continues if it is in the top 1/eta of the values before it."""
    if not isinstance(spec.early_stopping, Asha):
        return [f"run {number} was stopped" for number, (state, _) in runs.items() if state == "STOPPED"]
    eta, grace = spec.early_stopping.reduction_factor, spec.early_stopping.grace_epochs
    rungs = {grace * eta**k for k in range(20)} - set(range(spec.recipe.budget.epochs, 10**6))
    sign = 1 if spec.metric.goal == "maximize" else -1
    there: dict[int, list[float]] = {}
    broken = []
    for number, epoch, value, _ in curve:
        if epoch not in rungs or value is None or epoch >= spec.recipe.budget.epochs:
            continue
        before = there.setdefault(epoch, [])
        below = bool(before) and sign * value < np.quantile([sign * one for one in before], 1 - 1 / eta) - 1e-12
        before.append(value)
        state, last = runs[number]
        stopped_here = state == "STOPPED" and last == epoch
        if stopped_here and (not below or number == 0):
            broken.append(f"run {number} was stopped at {epoch} with {value}, among {before}")
        if below and number != 0 and last > epoch:
            broken.append(f"run {number} went on at {epoch} with {value}, among {before}")
    return broken
