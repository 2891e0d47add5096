"""Runs one command from a parsed spec to an exit code: starts everything in order, and releases it in any case."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from search_spaces import SweepError, UsageError
from search_spaces.values import counted
from sweeps import exit_codes
from sweeps.console.summary import Phases
from sweeps.driver.interrupts import Interrupts
from sweeps.driver.listeners import listeners_of
from sweeps.driver.preparation import Continuation, Preparation
from sweeps.driver.provenance import provenance
from sweeps.driver.work import Options, Session, Work
from sweeps.engine.checkpoint_files import check_on_disk, reachable
from sweeps.engine.conductor import Conductor
from sweeps.import_paths import check_names, import_paths
from sweeps.listener import Listeners
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


def drive(work: Work, options: Options, console: Console, began: float) -> int:
    """Run or continue a sweep or an ablation.

    Args:
        work: The sweep or ablation.
        options: Storage, cluster and checkpoints.
        console: Console to print to.
        began: `time.monotonic` at the start of the command, for the summary.

    Returns:
        0 if every planned run has ended and at least one is complete, 1 if none is complete or the first runs failed
        alike, 130 if interrupted.

    Raises:
        UsageError: The user has to fix something first.
        SweepError: The sweep cannot continue now; the same command continues it.
    """
    check_names(work.spec)
    own_folder, spec = _default_folder(options.storage), work.spec
    checkpoints = _checkpoints(work, options, own_folder)
    say = partial(console.print, soft_wrap=True)
    with Interrupts(say) as interrupts, ExitStack() as stack:
        store = stack.enter_context(Store(options.storage))
        _put_sweep(store, work)
        _reconcile(store, work)  # a file that cannot be continued is an error before any waiting
        with interrupts.at_once():
            lease = stack.enter_context(Lease(store, spec.name, options.wait, say))
        fence, folder = lease.fence, checkpoints.child(spec.name)
        journal = own_folder / f"{spec.name}.journal"  # always on this machine, wherever the checkpoints are
        if replayed := replay_journal(store, fence, journal):
            say(f"wrote {replayed} records of the last driver that were not in the database yet")
        sweep = _reconcile(store, work)
        plan = work.plan(store, sweep)
        listeners = Listeners()
        stack.callback(listeners.sweep_ends)  # after the writer has written everything
        writer = stack.enter_context(Writer(store, fence, journal, lease.check, say))
        conductor = Conductor(
            spec, store, sweep.id, writer, plan, folder, listeners, import_paths(), options.keep_going
        )
        stack.callback(conductor.close)
        listeners.named.update(listeners_of(Session(work, options, console, store, writer, conductor)))
        listeners.sweep_begins(spec, conductor.snapshots())
        phases = Phases(began)
        if conductor.idle:
            store.set_spec(fence, sweep.spec_yaml)
            console.print(f"{work.kind} {spec.name!r} is complete: nothing to train")
        else:
            continuation = _continuation(work, options, store, fence, conductor, say)
            with _start(continuation, options, folder, interrupts, partial(_abort, stack)) as starting:
                say(_opening(work, conductor, options))
                _wait(starting, interrupts, console)
                conductor.folders = starting.preparation.folders
                store.set_spec(fence, sweep.spec_yaml)  # a command that is refused changes nothing
                with interrupts.draining(conductor.drain):
                    starting.runner.run(conductor)
                phases.trained(conductor, starting.runner.slots)
        stack.close()  # everything is written and the lease is released before the summary is printed
        phases.end()
        work.summary(conductor, phases, options.storage, console)
        _print_failures(listeners, say)
    return _exit_code(conductor)


def _checkpoints(work: Work, options: Options, own_folder: Path) -> Folder:
    """Return the folder that has a folder for each sweep."""
    if options.checkpoints is None:
        return LocalFolder(own_folder)
    folder = reachable(options.checkpoints)
    if work.spec.command is not None:
        check_on_disk(folder)
    return folder


def _print_failures(listeners: Listeners, say: Callable[[str], None]) -> None:
    for name, failure in listeners.failures.items():
        say(f"listener {name!r} failed: {failure}")


def _trained(conductor: Conductor) -> int:
    """Return the number of recorded runs that have been trained, at least for an epoch."""
    return sum(run.epoch > 0 or run.state.finished for run in conductor.runs)


def _continuation(
    work: Work, options: Options, store: Store, fence: Fence, conductor: Conductor, say: Callable[[str], None]
) -> Continuation:
    trained = _trained(conductor)
    # A node of a cluster may have what this machine lacks, such as a GPU.
    here = options.local or cluster_address(options.address) is None
    probes = options.probe and here and not trained
    return Continuation(work, store, fence, trained, options.accept_changes, say, probes, conductor.code_folder)


def _opening(work: Work, conductor: Conductor, options: Options) -> str:
    """Return the first line of output: how many runs train where."""
    spec, total = conductor.spec, conductor.plan.total
    finished = sum(run.state.finished for run in conductor.runs)
    what = f"{total - finished} of {counted(total, 'run')} left" if conductor.runs else work.what
    address = cluster_address(options.address)
    where = "in this process" if options.local else f"on Ray at {address}" if address else "on Ray"
    return f"{work.kind} {spec.name!r}: {what} of {spec.task_name}, up to {spec.recipe.budget.text} each, {where}"


def _exit_code(conductor: Conductor) -> int:
    if conductor.gave_up is not None:
        return exit_codes.FAILED
    if not conductor.finished:
        return exit_codes.INTERRUPTED
    return exit_codes.DONE if conductor.best() is not None else exit_codes.FAILED


# --- the sweep's row --------------------------------------------------------------------------------------------


def _put_sweep(store: Store, work: Work) -> None:
    """Create the row of this sweep unless it exists."""
    # If no run exists under this name, the new file replaces the stored one.
    store.put_sweep(
        name=work.spec.name,
        kind=work.kind,
        spec_yaml=work.text,
        metric=work.metric,
        goal=work.spec.metric.goal,
        seed=work.spec.sampler.seed,
        provenance={**provenance(), **work.notes},
    )


def register(works: Sequence[Work], group: str, storage: str) -> None:
    """Store the works of a group before the first of them is driven, so that all of them are known.

    Args:
        works: Works that are driven one after another.
        group: Name of the group.
        storage: Database URL.

    Raises:
        UsageError: One of them cannot be continued, or the name of the group is taken.
    """
    for work in works:
        check_names(work.spec)
    with Store(storage) as store:
        if (taken := store.sweep(group)) is not None:
            raise UsageError(f"the database holds the {taken.kind} {group!r}: choose another --name")
        known = [work for work in works if store.sweep(work.spec.name) is not None]
        for work in known:
            _put_sweep(store, work)
            _reconcile(store, work)
        for work in works:
            _put_sweep(store, work)


def _reconcile(store: Store, work: Work) -> SweepRecord:
    """Return the row of this sweep with the text to store from now on.

    Raises:
        UsageError: The row belongs to another kind of work or another file.
    """
    name = work.spec.name
    sweep = store.sweep(name)
    if sweep is None:
        raise SweepError(f"sweep {name!r} is no longer in the database")
    if sweep.kind != work.kind:
        raise UsageError(f"the database holds the {sweep.kind} {name!r}: choose another --name for this {work.kind}")
    text, differences = work.reconcile_spec(store, sweep)
    if differences:
        raise UsageError(
            f"{work.kind} {name!r} is stored with another file:",
            *(f"  {difference}" for difference in differences),
            f"keep both with --name NEW, or continue the old {work.kind} with its file and options (--set, --seed)",
        )
    return replace(sweep, spec_yaml=text)


# --- starting and stopping --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starting:
    """The runner and the preparation of the task, started but not ready yet."""

    runner: Runner
    preparation: Preparation


@contextmanager
def _start(
    continuation: Continuation,
    options: Options,
    folder: Folder,
    interrupts: Interrupts,
    abort: Callable[[str], None],
) -> Iterator[_Starting]:
    spec, say = continuation.work.spec, continuation.say
    with ExitStack() as stack:
        preparation = Preparation(continuation)
        stack.callback(preparation.stop)
        if preparation.early:
            preparation.wait(interrupts)
        if options.local:
            yield _Starting(InProcessRunner(), preparation)
            return
        address = cluster_address(options.address)
        with interrupts.at_once():
            prepare(address)
        from sweeps.runners.ray.connection import RayCluster

        cluster = RayCluster(address, os.getcwd() if spec.own_code else None)
        stack.callback(cluster.close)
        from sweeps.runners.ray.runner import RayRunner  # takes a second, while Ray starts

        interrupts.arm()
        expected = None if address is None else stack.enter_context(expectation(spec, folder, import_paths()))
        yield _Starting(RayRunner(cluster, spec.resources, expected, say, interrupts.arm, abort), preparation)


def _abort(recording: ExitStack, reason: str) -> None:
    """Write what was recorded and exit without Ray, whose calls on the main thread no longer return."""
    try:
        recording.close()
    finally:
        sys.stderr.write(f"{reason}; nothing that was recorded is lost: once Ray is back, the same command continues\n")
        sys.stderr.flush()
        os._exit(1)


def _wait(starting: _Starting, interrupts: Interrupts, console: Console) -> None:
    status = console.status("starting workers, preparing the task") if console.is_terminal else ExitStack()
    with status:
        starting.preparation.wait(interrupts)
        with interrupts.at_once():
            starting.runner.start()


def _default_folder(storage: str) -> Path:
    """Return the folder of the journal and the default checkpoints: beside a SQLite file, or under `runs`."""
    url = parse_url(storage)
    folder = Path(str(url.database)).parent if url.get_backend_name() == "sqlite" else Path("runs")
    return folder / "checkpoints"
