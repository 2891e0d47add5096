"""`sweeps run`, from a parsed space to an exit code: what is started when, and what is given back whatever happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from search_spaces import SpaceSpec, SweepError, UsageError, diff_spaces, dump_space, parse_space
from sweeps.conductor import Conductor
from sweeps.dashboard_copy import DashboardCopy
from sweeps.database import parse_url
from sweeps.lease import Lease
from sweeps.plan import SearchPlan
from sweeps.preparation import Preparation, needed
from sweeps.progress import Progress
from sweeps.provenance import provenance
from sweeps.records import SweepRecord
from sweeps.runner import InProcessRunner, Runner
from sweeps.store import Store
from sweeps.study import open_study
from sweeps.summary import Phases, summary

INTERRUPTED_EXIT = 130


@dataclass(frozen=True)
class Options:
    """How a sweep is driven; nothing here changes what it finds.

    Attributes:
        storage: Database URL.
        address: Of a running Ray cluster; None starts one here.
        local: Train in this process, without Ray.
        checkpoints: Folder of the checkpoints; None puts them beside a SQLite file, or under ``runs``.
    """

    storage: str
    address: str | None = None
    local: bool = False
    checkpoints: Path | None = None


def drive(spec: SpaceSpec, options: Options, console: Console, began: float) -> int:
    """Run or continue a sweep.

    Args:
        spec: The space; its name is the sweep's.
        options: Where and how.
        console: What a person sees.
        began: `time.monotonic` when the command was typed, for the summary.

    Returns:
        0 when every planned run ended and one is complete, 1 when none is, 130 when interrupted.

    Raises:
        UsageError: Something has to be mended first.
        SweepError: The sweep cannot go on; the same command continues it.
    """
    with ExitStack() as stack:
        store = stack.enter_context(Store(options.storage))
        sweep = _open_sweep(store, spec)
        lease = stack.enter_context(Lease(store, spec.name))
        starting = None if _all_finished(store, sweep, spec) else stack.enter_context(_start(spec, options))
        copy = DashboardCopy(partial(open_study, options.storage, spec), store, sweep.id)
        stack.enter_context(copy)
        folder = (options.checkpoints or _beside(options.storage)) / spec.name
        conductor = Conductor(spec, store, sweep.id, SearchPlan(spec), folder, lease.check, copy.watch, _import_paths())
        stack.callback(conductor.close)
        phases = Phases(began)
        if starting is None:
            console.print(f"sweep {spec.name!r} is complete: nothing to train", highlight=False)
        else:
            console.print(_opening(conductor, options), highlight=False)
            _train(conductor, starting, console, phases)
        stack.close()  # the copy and the lease are done before the summary says so
        phases.end()
        summary(conductor, phases, options.storage, console)
        if copy.behind is not None:
            console.print(f"the Optuna study is behind: {copy.behind}; the same command completes it")
    return _exit_code(conductor)


def _opening(conductor: Conductor, options: Options) -> str:
    """The first line: what is about to happen."""
    spec = conductor.spec
    finished = sum(run.state.finished for run in conductor.runs)
    what = f"{spec.runs - finished} of {spec.runs} runs to go" if conductor.runs else f"{spec.runs} runs"
    where = "in this process" if options.local else f"on Ray at {options.address}" if options.address else "on Ray"
    return f"sweep {spec.name!r}: {what} of {spec.task}, up to {spec.recipe.budget.epochs} epochs each, {where}"


def _exit_code(conductor: Conductor) -> int:
    if any(not run.state.finished for run in conductor.runs) or len(conductor.runs) < conductor.spec.runs:
        return INTERRUPTED_EXIT
    return 0 if conductor.best() is not None else 1


# --- the sweep's row --------------------------------------------------------------------------------------------


def _open_sweep(store: Store, spec: SpaceSpec) -> SweepRecord:
    """The row of this sweep; a new one, or one whose file says the same."""
    # Where nothing was run under this name, a file that was mended since takes the place of the old one.
    store.put_sweep(
        name=spec.name,
        kind="sweep",
        spec_yaml=dump_space(spec),
        metric=spec.metric.name,
        goal=spec.metric.goal,
        seed=spec.sampler.seed,
        provenance=provenance(),
    )
    sweep = store.sweep(spec.name)
    if sweep is None:
        raise SweepError(f"sweep {spec.name!r} vanished from the database")
    stored = parse_space(sweep.spec_yaml, f"{spec.name} (stored)", spec.name)
    if spec.runs > stored.runs:  # more of the same changes nothing that is recorded
        stored = stored.model_copy(update={"runs": spec.runs})
        store.set_spec(sweep.id, dump_space(stored))
    differences = diff_spaces(stored, spec)
    if differences:
        raise UsageError(
            f"sweep {spec.name!r} is stored with another space:",
            *(f"  {difference}" for difference in differences),
            "keep both with --name NEW, or give the old file back to continue the old sweep",
        )
    return sweep


def _all_finished(store: Store, sweep: SweepRecord, spec: SpaceSpec) -> bool:
    runs = store.runs(sweep.id)
    return len(runs) >= spec.runs and all(run.state.finished for run in runs)


# --- starting and stopping --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starting:
    """What gets ready on other cores while the driver opens its database."""

    runner: Runner
    preparation: Preparation | None  # None: there is nothing to prepare


@contextmanager
def _start(spec: SpaceSpec, options: Options) -> Iterator[_Starting]:
    with ExitStack() as stack:
        if options.local:
            runner: Runner = InProcessRunner()
        else:
            from sweeps.ray_cluster import RayCluster

            cluster = RayCluster(options.address)
            stack.callback(cluster.close)
        preparation = Preparation(spec, _import_paths()) if needed(spec) else None
        if preparation is not None:
            stack.callback(preparation.stop)
        if not options.local:
            from sweeps.ray_runner import RayRunner  # takes a second, while Ray starts

            runner = RayRunner(cluster, spec.resources)
        yield _Starting(runner, preparation)


def _train(conductor: Conductor, starting: _Starting, console: Console, phases: Phases) -> None:
    with console.status("starting workers, preparing the task") if console.is_terminal else ExitStack():
        if starting.preparation is not None:
            starting.preparation.wait()
        starting.runner.start()
    with _drain_on_signal(conductor, console), Progress(conductor, console):
        starting.runner.run(conductor)
    phases.trained(conductor, starting.runner.slots)


@contextmanager
def _drain_on_signal(conductor: Conductor, console: Console) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) lets the steps that run come in; the second one does not wait for them."""

    def handle(number: int, frame: object) -> None:
        if conductor.draining:
            raise KeyboardInterrupt
        conductor.drain()
        console.print("stopping: waiting for the epochs that run now (Ctrl-C again: not waiting)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _beside(storage: str) -> Path:
    """Checkpoints lie beside a SQLite file; for a server, under the current folder."""
    url = parse_url(storage)
    folder = Path(str(url.database)).parent if url.get_backend_name() == "sqlite" else Path("runs")
    return folder / "checkpoints"


def _import_paths() -> tuple[str, ...]:
    """Where the user's own task is looked for: the current folder, as with `python -m`."""
    return (os.getcwd(), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path))
