"""From a parsed spec to an exit code: what is started when, and what is given back whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from search_spaces import SpaceSpec, SweepError, UsageError
from sweeps.console.summary import Phases
from sweeps.driver.interrupts import Interrupts
from sweeps.driver.listeners import listeners_of
from sweeps.driver.provenance import provenance
from sweeps.driver.work import Options, Session, Work
from sweeps.engine.checkpoint_files import reachable
from sweeps.engine.conductor import Conductor
from sweeps.listener import Listeners
from sweeps.preflight.preparation import Preparation, needed
from sweeps.runners.ray.environment import cluster_address, prepare
from sweeps.runners.ray.node_check import expectation
from sweeps.runners.runner import InProcessRunner, Runner
from sweeps.store.database import parse_url
from sweeps.store.lease import Lease
from sweeps.store.records import Fence, SweepRecord
from sweeps.store.store import Store
from sweeps.store.writer import Writer, replay_journal
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder

INTERRUPTED_EXIT = 130


def drive(work: Work, options: Options, console: Console, began: float) -> int:
    """Run or continue a sweep or an ablation.

    Args:
        work: What is run.
        options: Where and how.
        console: What a person sees.
        began: `time.monotonic` when the command was typed, for the summary.

    Returns:
        0 when every planned run ended and one is complete, 1 when none is, 130 when interrupted.

    Raises:
        UsageError: Something has to be mended first.
        SweepError: The sweep cannot go on; the same command continues it.
    """
    beside = _beside(options.storage)
    checkpoints = LocalFolder(beside) if options.checkpoints is None else reachable(options.checkpoints)
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    with Interrupts(say) as interrupts, ExitStack() as stack:
        store = stack.enter_context(Store(options.storage))
        _put_sweep(store, work)
        _reconciled(store, work)  # a file that cannot be continued is said before anybody waits
        with interrupts.at_once():
            lease = stack.enter_context(Lease(store, work.spec.name, options.wait, say))
        fence = lease.fence
        spec, folder = work.spec, checkpoints.child(work.spec.name)
        journal = beside / f"{spec.name}.journal"  # on this machine, and the same one wherever the checkpoints go
        if replayed := replay_journal(store, fence, journal):
            say(f"{replayed} records of the last driver, which the database did not have yet, are in now")
        sweep = _reconciled(store, work, fence)
        plan = work.plan(store, sweep)
        listeners = Listeners()
        stack.callback(listeners.sweep_ends)  # after the writer has written everything
        writer = stack.enter_context(Writer(store, fence, journal, lease.check, say))
        conductor = Conductor(spec, store, sweep.id, writer, plan, folder, listeners, _import_paths())
        stack.callback(conductor.close)
        listeners.named.update(listeners_of(Session(work, options, console, store, writer, conductor)))
        listeners.sweep_begins(spec, conductor.snapshots())
        phases = Phases(began)
        if conductor.idle:
            console.print(f"{work.kind} {spec.name!r} is complete: nothing to train", highlight=False)
        else:
            with _start(spec, options, folder, say, interrupts, partial(_end_now, stack)) as starting:
                say(_opening(work, conductor, options))
                _wait(starting, interrupts, console)
                with interrupts.draining(conductor.drain):
                    starting.runner.run(conductor)
                phases.trained(conductor, starting.runner.slots)
        stack.close()  # everything is written and the lease is released before the summary is printed
        phases.end()
        work.summary(conductor, phases, options.storage, console)
        for name, failure in listeners.failures.items():
            console.print(f"listener {name!r} failed: {failure}", highlight=False, markup=False, soft_wrap=True)
    return _exit_code(conductor)


def _opening(work: Work, conductor: Conductor, options: Options) -> str:
    """The first line: what is about to happen."""
    spec, total = conductor.spec, conductor.plan.total
    finished = sum(run.state.finished for run in conductor.runs)
    what = f"{total - finished} of {total} runs to go" if conductor.runs else work.what
    address = cluster_address(options.address)
    where = "in this process" if options.local else f"on Ray at {address}" if address else "on Ray"
    return f"{work.kind} {spec.name!r}: {what} of {spec.task}, up to {spec.recipe.budget.epochs} epochs each, {where}"


def _exit_code(conductor: Conductor) -> int:
    if not conductor.finished:
        return INTERRUPTED_EXIT
    return 0 if conductor.best() is not None else 1


# --- the sweep's row --------------------------------------------------------------------------------------------


def _put_sweep(store: Store, work: Work) -> None:
    """Make the row of this sweep, unless it is there."""
    # Where nothing was run under this name, a file that was mended since takes the place of the old one.
    store.put_sweep(
        name=work.spec.name,
        kind=work.kind,
        spec_yaml=work.text,
        metric=work.metric,
        goal=work.spec.metric.goal,
        seed=work.spec.sampler.seed,
        provenance={**provenance(), **work.notes},
    )


def _reconciled(store: Store, work: Work, fence: Fence | None = None) -> SweepRecord:
    """The row of this sweep with the file that it is to hold, which is written with a fence only.

    Raises:
        UsageError: The row holds something else.
    """
    name = work.spec.name
    sweep = store.sweep(name)
    if sweep is None:
        raise SweepError(f"sweep {name!r} vanished from the database")
    if sweep.kind != work.kind:
        raise UsageError(f"the database holds the {sweep.kind} {name!r}: choose another --name for this {work.kind}")
    text, differences = work.reconcile_spec(store, sweep)
    if differences:
        raise UsageError(
            f"{work.kind} {name!r} is stored with another file:",
            *(f"  {difference}" for difference in differences),
            f"keep both with --name NEW, or give the old file back to continue the old {work.kind}",
        )
    if fence is not None and text != sweep.spec_yaml:
        store.set_spec(fence, text)
    return replace(sweep, spec_yaml=text)


# --- starting and stopping --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starting:
    """What gets ready on other cores while the driver opens its database."""

    runner: Runner
    preparation: Preparation | None  # None: there is nothing to prepare


@contextmanager
def _start(
    spec: SpaceSpec,
    options: Options,
    folder: Folder,
    say: Callable[[str], None],
    interrupts: Interrupts,
    gone: Callable[[str], None],
) -> Iterator[_Starting]:
    own = ":" in spec.task
    with ExitStack() as stack:
        preparation = Preparation(spec, _import_paths()) if needed(spec) else None
        if preparation is not None:
            stack.callback(preparation.stop)
            if own:  # what a person wrote may be wrong in many ways: that is found before anything else starts
                with interrupts.at_once():
                    preparation.wait()
        if options.local:
            yield _Starting(InProcessRunner(), preparation)
            return
        address = cluster_address(options.address)
        with interrupts.at_once():
            prepare(address)
        from sweeps.runners.ray.connection import RayCluster

        cluster = RayCluster(address, os.getcwd() if own else None)
        stack.callback(cluster.close)
        from sweeps.runners.ray.runner import RayRunner  # takes a second, while Ray starts

        interrupts.arm()

        expected = None if address is None else stack.enter_context(expectation(spec, folder, _import_paths()))
        yield _Starting(RayRunner(cluster, spec.resources, expected, say, interrupts.arm, gone), preparation)


def _end_now(recording: ExitStack, what: str) -> None:
    """Bring in what was recorded, and end without Ray, whose calls on the main thread do not return any more."""
    try:
        recording.close()
    finally:
        sys.stderr.write(f"{what}; nothing that was recorded is lost: once Ray is back, the same command continues\n")
        sys.stderr.flush()
        os._exit(1)


def _wait(starting: _Starting, interrupts: Interrupts, console: Console) -> None:
    status = console.status("starting workers, preparing the task") if console.is_terminal else ExitStack()
    with status, interrupts.at_once():
        if starting.preparation is not None:
            starting.preparation.wait()  # once more for a task of one's own: it answers again
        starting.runner.start()


def _beside(storage: str) -> Path:
    """Where the journal lies, and the checkpoints if nobody says: beside a SQLite file; for a server, under `runs`."""
    url = parse_url(storage)
    folder = Path(str(url.database)).parent if url.get_backend_name() == "sqlite" else Path("runs")
    return folder / "checkpoints"


def _import_paths() -> tuple[str, ...]:
    """Where the user's own task is looked for: the current folder, as with `python -m`."""
    return (os.getcwd(), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path))
