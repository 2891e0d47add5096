"""The commands to use before a sweep: `recommend`, `lint`, `check`, `lr-find`, `import`, `schema`."""

import json
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from search_spaces import UsageError, load_space
from search_spaces.lint.lint import lint as lint_space
from search_spaces.lint.lint import lint_lines
from search_spaces.recommend.decisions import Approach, Architecture, Priority, Situation
from search_spaces.recommend.recommend import ask_situation, recommend_space
from sweeps import exit_codes
from sweeps.cli.options import Folder, Settings, Space
from sweeps.console.output import open_console, print_document


def lint(space: Space, settings: Settings = None) -> None:
    """Check a space for red flags before it costs machine hours. Exit code 1 if one is an error."""
    flags = lint_space(load_space(space, settings or ()))
    for line in lint_lines(flags):
        typer.echo(line)
    errors = sum(flag.severity == "error" for flag in flags)
    typer.echo(f"{space}: {errors} errors, {len(flags) - errors} other flags" if flags else f"{space}: no red flag")
    raise typer.Exit(exit_codes.FAILED if errors else exit_codes.DONE)


def recommend(
    model: Annotated[
        str | None, typer.Option("--model", help=f"Model to train: {', '.join(get_args(Architecture))}.")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help=f"How training starts: {', '.join(get_args(Approach))}.")
    ] = "scratch",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Number of examples per step, over all devices.")] = 64,
    data: Annotated[int, typer.Option("--data", min=1, help="Number of training examples.")] = 50_000,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Number of epochs you can afford.")] = None,
    wish: Annotated[str, typer.Option("--wish", help=f"What matters more: {', '.join(get_args(Priority))}.")] = "best",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="File to write to. Default: print.")] = None,
) -> None:
    """Write the space to start from, with its reasons. Without --model, ask the questions."""
    if model is None:
        if not sys.stdin.isatty():
            models = ", ".join(get_args(Architecture))
            raise UsageError(f"recommend: --model must be one of {models}; in a terminal, it may be left out")
        situation = ask_situation(_prompt)
    else:
        for option, value, valid in (
            ("model", model, Architecture),
            ("task", task, Approach),
            ("wish", wish, Priority),
        ):
            if value not in get_args(valid):
                raise UsageError(f"--{option} must be one of {', '.join(get_args(valid))}, found {value}")
        situation = Situation(model, task, batch, data, epochs, wish)  # type: ignore[arg-type]  # looked up above
    text = recommend_space(situation).text
    if to is None:
        print_document(text)
        return
    to.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {to}; next: sweeps lint {to} | sweeps run {to}")


def _prompt(question: str, answers: object) -> str:
    """Ask at the keyboard and return the answer; an empty one selects the first option."""
    offered = list(answers) if isinstance(answers, list | tuple) else []
    shown = f" ({', '.join(map(str, offered))})" if offered else ""
    return str(typer.prompt(f"{question}{shown}", default=str(offered[0]) if offered else "", show_default=False))


def check(
    space: Space,
    settings: Settings = None,
    limit_s: Annotated[
        float, typer.Option("--limit", min=0.1, metavar="S", help="Most seconds of each start of a command.")
    ] = 60.0,
) -> None:
    """Test the task and its recipe in a minute or two, or the arguments of a command. Exit code 1 if a check fails."""
    from sweeps.preflight.task_report import check as check_task

    raise typer.Exit(check_task(load_space(space, settings or ()), open_console(), limit_s))


def lr_find(
    space: Space,
    settings: Settings = None,
    to: Folder = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the range test, without short trainings.")] = False,
) -> None:
    """Scan learning rates with the recipe, compare some in short trainings, and suggest a range to search."""
    from analysis.figures.lr_scan import lr_scan, write_page
    from analysis.report.present import FOLDER
    from sweeps.preflight.task_report import lr_find as scan_rates

    spec = load_space(space, settings or ())
    folder = to or FOLDER / spec.name
    code, scan = scan_rates(spec, open_console(), folder, quick)
    typer.echo(write_page(lr_scan(scan), folder / "lr_find.html"))
    raise typer.Exit(code)


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A W&B sweep file, or a Hydra config with the Optuna sweeper.")
    ],
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="File to write to. Default: print.")] = None,
) -> None:
    """Convert a sweep file of another tool into a space; comments say what was guessed or left out."""
    from search_spaces.files.lookup import read_text
    from search_spaces.importers.importer import import_sweep

    _write(import_sweep(read_text(file), str(file)), to)


def schema(
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="File to write to. Default: print.")] = None,
) -> None:
    """Print the JSON Schema of space files, for completion and checks in an editor."""
    from search_spaces.files.json_schema import json_schema

    _write(f"{json.dumps(json_schema(), indent=2)}\n", to)


def _write(text: str, to: Path | None) -> None:
    if to is None:
        print_document(text)
    else:
        to.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {to}")
