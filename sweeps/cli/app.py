"""The command line: its commands with an example each, and its exit codes."""

import logging
import signal
import sys

import typer

from search_spaces import SweepError, UsageError
from sweeps import exit_codes
from sweeps.cli import read_commands, run_commands, space_commands
from sweeps.console.output import forgive_streams

app = typer.Typer(
    name="sweeps",
    help="Hyperparameter sweeps and paired ablations, recorded in SQL and resumable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of use: before the runs, the runs, after them.
for name, command, example in (
    ("recommend", space_commands.recommend, "--model transformer --task finetune --data 5000 > mine.yaml"),
    ("lint", space_commands.lint, "finetune"),
    ("import", space_commands.import_, "wandb_sweep.yaml --to mine.yaml"),
    ("schema", space_commands.schema, "--to space.schema.json"),
    ("check", space_commands.check, "finetune"),
    ("lr-find", space_commands.lr_find, "finetune"),
    ("run", run_commands.run, "finetune --set budget.epochs=9 --runs 64 --name longer"),
    ("ablate", run_commands.ablate, "wd_exclusion --pairs 20"),
    ("confirm", run_commands.confirm, "finetune --top 3 --pairs 10"),
    ("extend", run_commands.extend, "finetune --edge --runs 32"),
    ("list", read_commands.list_, "--json"),
    ("status", read_commands.status, "finetune"),
    ("show", read_commands.show, "finetune 17"),
    ("diagnose", read_commands.diagnose, "finetune 17"),
    ("report", read_commands.report, "finetune"),
    ("apply", read_commands.apply, "finetune --top 1 > best.yaml"),
    ("export", read_commands.export, "finetune --to results/"),
    ("dashboard", read_commands.dashboard, "--port 8080"),
    ("cluster", read_commands.cluster, "--address auto"),
):
    app.command(name, epilog=f"Example: sweeps {name} {example}")(command)


def main() -> None:
    """Run the `sweeps` command; `sweeps.exit_codes` lists what it exits with."""
    forgive_streams()
    logging.captureWarnings(True)  # warnings of libraries are not for the user
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how schedulers of clusters interrupt
    try:
        try:
            code = _command()
        finally:  # everything is written: a late Ctrl-C must not change the exit code
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # the first one, or a second one while the first is handled
        sys.stderr.write("interrupted; the same command continues\n")
        code = exit_codes.INTERRUPTED
    sys.exit(code)


def _command() -> int:
    """Run the command and return its exit code."""
    try:
        app()
    except SystemExit as end:
        if _by_a_signal(end):
            raise KeyboardInterrupt from end
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return exit_codes.FAILED
        return end.code or exit_codes.DONE
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except SweepError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.FAILED
    return exit_codes.DONE


def _by_a_signal(end: SystemExit) -> bool:
    """Return whether an interrupt led to this exit: Typer turns a KeyboardInterrupt into an exit without a word."""
    error: BaseException | None = end
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    main()
