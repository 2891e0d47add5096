"""The commands that read the database, from `list` to `dashboard`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces import UsageError
from sweeps.cli.options import AsJson, Folder, Name, Storage
from sweeps.console.output import open_console, print_document
from sweeps.store.database import DEFAULT_URL

if TYPE_CHECKING:
    from sweeps.console.sweep_view import SweepView
    from sweeps.store.records import RunRecord


def list_(storage: Storage = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List every sweep and ablation in the database."""
    from sweeps.console import sweep_view, tables

    found = _views(storage)
    if as_json:
        tables.print_json([sweep_view.status_data(view) for view in found])
    else:
        tables.print_list(found, open_console())


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of a sweep or ablation. Default: all.")
    ] = None,
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show the progress of a sweep, while it runs or afterwards."""
    from sweeps.console import sweep_view, tables

    found = _views(storage)
    if name is not None:
        found = sweep_view.find_views(found, name)
    if as_json:
        data = [sweep_view.status_data(view) for view in found]
        tables.print_json(data[0] if [name] == [view.spec.name for view in found] else data)
    else:
        tables.print_status(found, open_console())


def show(
    name: Name,
    number: Annotated[
        int | None, typer.Argument(metavar="[RUN]", help="Number of one run, to show with its curve.")
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="With RUN: print the last lines that the run has printed.")
    ] = False,
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show the runs of a sweep, best first, or one run in full."""
    from sweeps.console import sweep_view, tables

    view = sweep_view.find_view(_views(storage), name)
    if number is None:
        if log:
            raise UsageError(f"--log: needs the number of a run: sweeps show {name} RUN --log")
        if as_json:
            tables.print_json([sweep_view.run_data(row, view) for row in tables.ranked(view)])
        else:
            tables.print_runs(view, open_console())
        return
    from analysis.load import epochs_frame, output_frame, output_lines

    row = sweep_view.find_run(view, number)
    output = output_lines(output_frame(storage, name, number))
    if log and not as_json:
        _print_output(row, output)
        return
    epochs = epochs_frame(storage, name, number)
    if as_json:
        data = sweep_view.run_data(row, view) | {"curve": sweep_view.curve_data(epochs)}
        tables.print_json(data | ({"output": output} if log else {}))
        return
    tables.print_run(view, row, epochs, open_console())
    if output:
        typer.echo(f"output: {len(output)} lines: sweeps show {name} {number} --log")


def _print_output(row: RunRecord, lines: Sequence[str]) -> None:
    if lines:
        print_document("".join(f"{line}\n" for line in lines))
        return
    why = "it has not started" if row.attempts == 0 else "it has printed nothing so far"
    why = "it printed nothing" if row.state.finished else why
    typer.echo(f"no output of run {row.number} is recorded: {why}, or an earlier release trained it", err=True)


def export(
    name: Name,
    to: Folder = None,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Export a sweep: runs.csv, epochs.csv, output.csv (what runs printed), space.yaml, best.yaml (the best recipe)."""
    from analysis.export import export_sweep
    from sweeps.console import sweep_view

    folder = to or Path("reports") / name
    for view in sweep_view.find_views(_views(storage), name):
        task = view.ablation.task_label if view.ablation is not None and view.group == name else None
        for path in export_sweep(view.spec, storage, folder / task if task else folder, view.code):
            typer.echo(path)


def report(name: Name, to: Folder = None, storage: Storage = DEFAULT_URL) -> None:
    """Write the report of a sweep or ablation from the database, and add it to the dashboard."""
    from analysis.report.present import present

    present(storage, name, open_console(), to)


def diagnose(
    name: Name,
    number: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Number of one run. Default: all runs.")] = None,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Diagnose the curves of a sweep (overfitting, learning rate too high, too short, ...), with what to try next."""
    from analysis.report.sweep.terminal import print_diagnosis
    from analysis.sweep.evidence import read_sweep
    from analysis.sweep.findings import sweep_findings

    print_diagnosis(sweep_findings(read_sweep(storage, name)), open_console(), number)


def apply(
    name: Name,
    top: Annotated[int, typer.Option("--top", min=1, help="Rank of the run: 1 is the best complete run.")] = 1,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Print the recipe of the best run as a space with one run."""
    from analysis.sweep.evidence import read_sweep
    from analysis.sweep.next_steps.follow_up import apply as recipe_of

    print_document(recipe_of(read_sweep(storage, name), top))


def dashboard(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Serve the Optuna dashboard for the database."""
    _views(storage)  # an error for a database without sweeps, instead of an empty page
    from sweeps.study.dashboard import serve_dashboard

    typer.echo(f"dashboard at http://127.0.0.1:{port}/dashboard/ (Ctrl-C stops it)")
    serve_dashboard(storage, port)


def cluster(
    address: Annotated[
        str, typer.Option("--address", help="Address of the cluster: auto, HOST:PORT or ray://HOST:PORT.")
    ] = "auto",
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the nodes of a Ray cluster, their free resources and their runs."""
    from analysis.load import runs_by_sweep
    from sweeps.console import cluster_table, tables
    from sweeps.runners.ray import environment

    runs: dict[str, list[RunRecord]] = {}
    try:
        runs = runs_by_sweep(storage)
    except UsageError as error:
        if storage != DEFAULT_URL:  # the default database may not exist yet
            typer.echo(str(error), err=True)
    where = environment.cluster_address(address) or "auto"  # this command never starts a cluster
    environment.prepare(where)
    from sweeps.runners.ray.connection import RayCluster
    from sweeps.runners.ray.nodes import free, nodes

    connection = RayCluster(where)
    try:
        connection.wait()
        rows = cluster_table.node_rows(nodes(), free(), runs)
    finally:
        connection.close()
    if as_json:
        tables.print_json([cluster_table.node_data(row) for row in rows])
    else:
        cluster_table.print_nodes(rows, open_console())


def _views(storage: str) -> list[SweepView]:
    from analysis.load import runs_by_sweep, sweeps_frame
    from sweeps.console.sweep_view import sweep_views

    return sweep_views(sweeps_frame(storage), runs_by_sweep(storage))
