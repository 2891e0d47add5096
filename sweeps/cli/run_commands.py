"""The commands that train: `run`, `ablate`, `confirm`, `extend`."""

import shlex
from typing import Annotated

import typer

from search_spaces import Overrides, SpaceSpec, UsageError, load_ablations, load_space
from search_spaces.lint.lint import lint, lint_lines
from sweeps import exit_codes
from sweeps.cli.options import (
    BEGAN,
    AcceptChanges,
    Address,
    Checkpoints,
    Folder,
    KeepGoing,
    Listeners,
    Local,
    Name,
    Settings,
    Space,
    Storage,
    Wait,
)
from sweeps.console.output import open_console
from sweeps.store.database import DEFAULT_URL


def run(
    space: Space,
    settings: Settings = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="Total number of runs; a larger number extends a sweep.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the sampler and the trainings.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep. Default: name of the space.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run despite red flags that are errors.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print the space and its estimated cost; run nothing.")
    ] = False,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    wait: Wait = False,
    listeners: Listeners = None,
    accept_changes: AcceptChanges = False,
    keep_going: KeepGoing = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe/--no-probe", help="Check by short starts whether each argument of a command takes effect."
        ),
    ] = True,
) -> None:
    """Run a sweep, or continue it."""
    spec = load_space(space, settings or (), runs, seed, name)
    forced = _flagged(spec, force or dry)
    if dry:
        from sweeps.preflight.dry_run import dry_run

        dry_run(spec, open_console())
        return
    from sweeps.driver.driver import drive
    from sweeps.driver.listeners import load_listener
    from sweeps.driver.work import Options, sweep_work

    own = {name: load_listener(name) for name in listeners or ()}
    options = Options(storage, address, local, checkpoints, wait, own, accept_changes, keep_going, probe)
    console = open_console()
    code = drive(sweep_work(spec, forced), options, console, BEGAN)
    if code == exit_codes.DONE and spec.repeats is not None:
        from analysis.confirm import repeat_best

        code = repeat_best(spec, options, console)
    raise typer.Exit(code)


def _flagged(spec: SpaceSpec, force: bool) -> tuple[str, ...]:
    """Print the red flags of a space, and return the codes of the errors that --force overrides.

    Raises:
        UsageError: There are errors, and no --force.
    """
    flags = lint(spec)
    errors = [flag for flag in flags if flag.severity == "error"]
    if errors and not force:
        raise UsageError(*lint_lines(errors), "fix the space, or use --force to run it as it is")
    for line in lint_lines([flag for flag in flags if flag.severity != "info"]):
        typer.echo(line)
    return tuple(str(flag.code) for flag in errors)


_Ablation = Annotated[
    str | None,
    typer.Argument(metavar="[ABLATION]", help="Name of a shipped ablation (wd_exclusion, ...) or path of a YAML file."),
]
_Winner = Annotated[
    str | None,
    typer.Option("--from", metavar="best:SWEEP", help="Ablate the winner of a sweep, instead of a file."),
]
_Toggle = Annotated[
    str,
    typer.Option(
        "--toggle",
        metavar="FIELDS",
        help="With --from: comma-separated fields to reset to the baseline. Default: all.",
    ),
]
_Pairs = Annotated[
    int | None,
    typer.Option("--pairs", min=1, help="Number of pairs (seeds per arm); fixed before the first result."),
]
_AddPairs = Annotated[
    int,
    typer.Option(
        "--add-pairs", min=0, help="Number of pairs to add to a finished ablation; the e-process then decides."
    ),
]
_Plan = Annotated[
    bool, typer.Option("--plan", help="Train a few pilot pairs, and print how many pairs the margin needs.")
]
_Pilot = Annotated[
    int | None, typer.Option("--pilot", help="Number of pilot pairs for --plan, 2 to 4; they do not enter the result.")
]
_Fields = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field of the base recipe.")
]
_Design = Annotated[str | None, typer.Option("--design", help="Design: matched, retuned or both.")]
_Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed for all random streams.")]
_NewName = Annotated[str | None, typer.Option("--name", help="Name of the ablation. Default: name of the file.")]


def ablate(
    ablation: _Ablation = None,
    source: _Winner = None,
    toggle: _Toggle = "",
    pairs: _Pairs = None,
    add_pairs: _AddPairs = 0,
    plan_only: _Plan = False,
    pilot: _Pilot = None,
    design: _Design = None,
    settings: _Fields = None,
    seed: _Seed = None,
    name: _NewName = None,
    to: Folder = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    wait: Wait = False,
    accept_changes: AcceptChanges = False,
    keep_going: KeepGoing = False,
) -> None:
    """Run a paired ablation, or continue it, and write its report."""
    from analysis.ablate import ablate, ablate_tasks, plan
    from analysis.ablation.pilot import PAIRS
    from analysis.ablation.shipped import LIBRARY
    from analysis.sweep.next_steps.toggles import toggle_ablation
    from sweeps.driver.work import Options

    overrides = Overrides(settings or (), pairs, design, seed, name)
    if (ablation is None) == (source is None):
        raise UsageError("ablate: give an ablation or --from best:SWEEP, but not both")
    if (plan_only and add_pairs) or (pilot is not None and not plan_only):
        raise UsageError("ablate: --pilot needs --plan, and --plan adds no pairs to an ablation: leave out --add-pairs")
    options = Options(storage, address, local, checkpoints, wait, accept_changes=accept_changes, keep_going=keep_going)
    if source is not None:
        spec = toggle_ablation(storage, source, [field for field in toggle.split(",") if field], overrides)
    else:
        spec, *others = load_ablations(str(ablation), LIBRARY, overrides)
        if others:
            if add_pairs or plan_only:
                raise UsageError("ablate: --plan and --add-pairs take an ablation of one task, not of several")
            raise typer.Exit(ablate_tasks([spec, *others], options, open_console(), BEGAN, to))
    if plan_only:
        command = _command(ablation, source, toggle, overrides)
        raise typer.Exit(plan(spec, PAIRS if pilot is None else pilot, command, options, open_console(), BEGAN, to))
    followed = (source or "").removeprefix("best:")
    raise typer.Exit(ablate(spec, options, open_console(), BEGAN, add_pairs, to, followed))


def _command(ablation: str | None, source: str | None, toggle: str, overrides: Overrides) -> str:
    """Return the command that was typed, without its number of pairs and what only says where to run."""
    words = ["sweeps", "ablate", *([ablation] if ablation else [])]
    given = {"--from": source, "--toggle": toggle, "--design": overrides.design, "--seed": overrides.seed}
    given["--name"] = overrides.name
    words += [word for option, value in given.items() if value not in (None, "") for word in (option, str(value))]
    words += [word for setting in overrides.settings for word in ("--set", setting)]
    return shlex.join(words)


def confirm(
    name: Name,
    top: Annotated[int, typer.Option("--top", min=1, help="Maximum number of finalists.")] = 3,
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, help="Number of fresh seeds per arm; none was used by the sweep.")
    ] = 10,
    new_name: Annotated[str | None, typer.Option("--name", help="Name of the ablation. Default: NAME-confirm.")] = None,
    to: Folder = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    accept_changes: AcceptChanges = False,
    keep_going: KeepGoing = False,
) -> None:
    """Compare the finalists of a sweep with its baseline on fresh seeds and the test split."""
    from analysis.confirm import confirm_sweep
    from sweeps.driver.work import Options

    options = Options(storage, address, local, checkpoints, accept_changes=accept_changes, keep_going=keep_going)
    raise typer.Exit(confirm_sweep(name, top, pairs, options, open_console(), BEGAN, new_name, to))


def extend(
    name: Name,
    edge: Annotated[
        bool, typer.Option("--edge/--no-edge", help="Search the suggested wider ranges, or the same ranges again.")
    ] = True,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="Number of runs. Default: as many as before.")
    ] = None,
    new_name: Annotated[
        str | None, typer.Option("--name", help="Name of the follow-up sweep. Default: NAME-edge.")
    ] = None,
    storage: Storage = DEFAULT_URL,
    address: Address = None,
    local: Local = False,
    checkpoints: Checkpoints = None,
    accept_changes: AcceptChanges = False,
    keep_going: KeepGoing = False,
) -> None:
    """Continue a sweep in wider ranges where its best point is at an edge, from its best runs."""
    from analysis.sweep.evidence import read_sweep
    from analysis.sweep.next_steps.follow_up import extend as space_of

    spec = space_of(read_sweep(storage, name), edge, runs, new_name)
    from sweeps.driver.driver import drive
    from sweeps.driver.work import Options, sweep_work

    options = Options(storage, address, local, checkpoints, accept_changes=accept_changes, keep_going=keep_going)
    raise typer.Exit(drive(sweep_work(spec, source=name), options, open_console(), BEGAN))
