"""The command line. Thin: every command parses what was typed and calls the one place that does the work."""

from __future__ import annotations

import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from search_spaces import Overrides, SweepError, UsageError, load_ablation, load_space
from sweeps.database import DEFAULT_URL

if TYPE_CHECKING:
    from sweeps.views import SweepView

USAGE_EXIT = 2
FAILED_EXIT = 1
INTERRUPTED_EXIT = 130
_BEGAN = time.monotonic()

app = typer.Typer(
    name="sweeps",
    help="Hyperparameter sweeps that are recorded, stoppable and continuable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="Database: sqlite:///PATH or postgresql+psycopg://...")
]
Address = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to join: auto, or HOST:PORT. Default: start one.")
]
Local = Annotated[bool, typer.Option("--local", help="Train in this process without Ray, for a debugger.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a sweep.")]


@app.command(epilog="Example: sweeps run finetune --set budget.epochs=9 --runs 64 --name longer")
def run(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space (finetune, ...) or a YAML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Fix a recipe field; a searched one is searched no more."),
    ] = None,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Runs in all; a larger number extends.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the sampler and the trainings.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; the space's own if not given.")] = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
) -> None:
    """Run a sweep, or continue it where it stopped."""
    spec = load_space(space, settings or (), runs, seed, name)
    from sweeps.drive import Options, drive, sweep_work

    raise typer.Exit(drive(sweep_work(spec), Options(storage, address, local), Console(), _BEGAN))


@app.command(epilog="Example: sweeps ablate wd_exclusion --pairs 20")
def ablate(
    ablation: Annotated[
        str | None, typer.Argument(metavar="[ABLATION]", help="A shipped one (wd_exclusion, ...) or a file.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="best:SWEEP", help="Take a sweep's winner apart, in place of a file."),
    ] = None,
    toggle: Annotated[
        str,
        typer.Option("--toggle", metavar="FIELDS", help="For --from: fields to take back, with commas; all if none."),
    ] = "",
    pairs: Annotated[int | None, typer.Option("--pairs", min=1, help="Seeds per arm, before anything is seen.")] = None,
    add_pairs: Annotated[
        int, typer.Option("--add-pairs", min=0, help="More pairs for one that has ended; judged by the e-process.")
    ] = 0,
    design: Annotated[str | None, typer.Option("--design", help="matched, retuned or both.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field of the base recipe.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of every random stream.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the ablation; the file's own if not given.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Of the report. Default: reports/NAME.")
    ] = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
) -> None:
    """Answer a question by a paired ablation, or go on with one, and write its report."""
    from analysis.ablate import LIBRARY, ablate
    from analysis.toggles import toggled

    overrides = Overrides(settings or (), pairs, design, seed, name)
    if (ablation is None) == (source is None):
        raise UsageError("ablate: name an ablation, or --from best:SWEEP, and not both")
    if source is not None:
        spec = toggled(storage, source, [field for field in toggle.split(",") if field], overrides)
    else:
        spec = load_ablation(str(ablation), LIBRARY, overrides)
    from sweeps.drive import Options

    raise typer.Exit(ablate(spec, Options(storage, address, local), Console(), _BEGAN, add_pairs, to))


@app.command("list", epilog="Example: sweeps list --json")
def list_(storage: Storage = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Every sweep of the database."""
    from sweeps import views

    found = _views(storage)
    if as_json:
        views.print_json([views.status_data(view) for view in found])
    else:
        views.print_list(found, Console())


@app.command(epilog="Example: sweeps status finetune")
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One sweep; all if not given.")] = None,
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """How far a sweep is, while it runs or afterwards."""
    from sweeps import views

    found = _views(storage)
    if name is not None:
        found = [views.find_view(found, name)]
    if as_json:
        data = [views.status_data(view) for view in found]
        views.print_json(data if name is None else data[0])
    else:
        views.print_status(found, Console())


@app.command(epilog="Example: sweeps show finetune 17")
def show(
    name: SweepName,
    number: Annotated[int | None, typer.Argument(metavar="[RUN]", help="One run, with its curve.")] = None,
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """The runs of a sweep, best first, or one of them in full."""
    from sweeps import views

    view = views.find_view(_views(storage), name)
    if number is None:
        if as_json:
            views.print_json([views.run_data(row, view) for row in views.ranked(view)])
        else:
            views.print_runs(view, Console())
        return
    from analysis.load import epochs_frame

    row = views.find_run(view, number)
    epochs = epochs_frame(storage, name, number)
    if as_json:
        views.print_json(views.run_data(row, view) | {"curve": views.curve_data(epochs)})
    else:
        views.print_run(view, row, epochs, Console())


@app.command(epilog="Example: sweeps export finetune --to results/")
def export(
    name: SweepName,
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Default: reports/NAME.")] = None,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Write a sweep as files: runs.csv, epochs.csv, space.yaml and the best run's recipe, best.yaml."""
    from analysis.export import export_sweep
    from sweeps import views

    view = views.find_view(_views(storage), name)
    folder = to or Path("reports") / name
    for path in export_sweep(view.spec, storage, folder):
        typer.echo(path)


@app.command(epilog="Example: sweeps dashboard --port 8080")
def dashboard(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="On 127.0.0.1.")] = 8080,
    storage: Storage = DEFAULT_URL,
) -> None:
    """Open the Optuna dashboard over the same database."""
    _views(storage)  # a database without sweeps is said here, not shown as an empty page
    from sweeps.study import serve_dashboard

    typer.echo(f"dashboard at http://127.0.0.1:{port}/dashboard/ (Ctrl-C ends it)")
    serve_dashboard(storage, port)


def _views(storage: str) -> list[SweepView]:
    from analysis.load import runs_frame, sweeps_frame
    from sweeps.views import sweep_views

    return sweep_views(sweeps_frame(storage), runs_frame(storage))


def main() -> None:
    """The `sweeps` command: 0 done, 1 the sweep cannot go on, 2 something to mend, 130 interrupted."""
    logging.captureWarnings(True)  # a library's warning is no news to the person at the keyboard
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # schedulers of clusters say Ctrl-C this way
    try:
        app()
    except UsageError as error:
        _fail(error, USAGE_EXIT)
    except SweepError as error:
        _fail(error, FAILED_EXIT)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues\n")
        sys.exit(INTERRUPTED_EXIT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is written: a late Ctrl-C must not change the exit code


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"{error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
