"""The commands that train: `run`, `ablate`, `confirm`, `extend`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from search_spaces import Overrides, SpaceSpec, UsageError, load_ablation, load_space
from search_spaces.lint.lint import lint, lint_lines
from sweeps.cli.options import BEGAN, Address, Checkpoints, Folder, Local, Name, Settings, Space, Storage, Wait
from sweeps.store.database import DEFAULT_URL


def run(
    space: Space,
    settings: Settings = None,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Runs in all; a larger number extends.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the sampler and the trainings.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep; the space's own if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run in spite of red flags that are errors.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show the space and what it would cost; run nothing.")] = False,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    wait: Wait = False,
) -> None:
    """Run a sweep, or continue it where it stopped."""
    spec = load_space(space, settings or (), runs, seed, name)
    forced = _flagged(spec, force or dry)
    if dry:
        from sweeps.preflight.dry_run import dry_run

        dry_run(spec, Console())
        return
    from sweeps.driver.driver import drive
    from sweeps.driver.work import Options, sweep_work

    raise typer.Exit(
        drive(sweep_work(spec, forced), Options(storage, address, local, checkpoints, wait), Console(), BEGAN)
    )


def _flagged(spec: SpaceSpec, force: bool) -> tuple[str, ...]:
    """Say what is unusual about a space; the errors that it goes on in spite of.

    Raises:
        UsageError: There are errors, and they were not forced.
    """
    flags = lint(spec)
    errors = [flag for flag in flags if flag.severity == "error"]
    if errors and not force:
        raise UsageError(*lint_lines(errors), "mend the space, or --force to run it as it is")
    for line in lint_lines([flag for flag in flags if flag.severity != "info"]):
        typer.echo(line)
    return tuple(str(flag.code) for flag in errors)


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
    to: Folder = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    wait: Wait = False,
) -> None:
    """Answer a question by a paired ablation, or go on with one, and write its report."""
    from analysis.ablate import ablate
    from analysis.ablation.shipped import LIBRARY
    from analysis.sweep.next_steps.toggles import toggle_ablation

    overrides = Overrides(settings or (), pairs, design, seed, name)
    if (ablation is None) == (source is None):
        raise UsageError("ablate: name an ablation, or --from best:SWEEP, and not both")
    if source is not None:
        spec = toggle_ablation(storage, source, [field for field in toggle.split(",") if field], overrides)
    else:
        spec = load_ablation(str(ablation), LIBRARY, overrides)
    from sweeps.driver.work import Options

    raise typer.Exit(ablate(spec, Options(storage, address, local, checkpoints, wait), Console(), BEGAN, add_pairs, to))


def confirm(
    name: Name,
    top: Annotated[int, typer.Option("--top", min=1, help="Finalists, at most.")] = 3,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Seeds of each arm; never one of the sweep's.")] = 10,
    to: Folder = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare a sweep's finalists with its baseline on fresh seeds and the test split: the winner's honest score."""
    from analysis.ablate import ablate
    from analysis.sweep.evidence import read_sweep
    from analysis.sweep.next_steps.follow_up import confirm as ablation_of

    spec = ablation_of(read_sweep(storage, name), top, pairs)
    from sweeps.driver.work import Options

    raise typer.Exit(ablate(spec, Options(storage, address, local, checkpoints), Console(), BEGAN, to=to))


def extend(
    name: Name,
    edge: Annotated[bool, typer.Option("--edge/--no-edge", help="Search the suggested ranges, or the same.")] = True,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="As many as before if not given.")] = None,
    new_name: Annotated[str | None, typer.Option("--name", help="Of the follow-up; NAME-edge if not given.")] = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Search on where a sweep's best point lies at the edge of its space, starting from its best runs."""
    from analysis.sweep.evidence import read_sweep
    from analysis.sweep.next_steps.follow_up import extend as space_of

    spec = space_of(read_sweep(storage, name), edge, runs, new_name)
    from sweeps.driver.driver import drive
    from sweeps.driver.work import Options, sweep_work

    raise typer.Exit(drive(sweep_work(spec), Options(storage, address, local, checkpoints), Console(), BEGAN))
