"""The command line: its commands with an example each, and its exit codes."""

from __future__ import annotations

import logging
import signal
import sys

import typer

from search_spaces import SweepError, UsageError
from sweeps import exit_codes
from sweeps.cli import read_commands, run_commands, space_commands

app = typer.Typer(
    name="sweeps",
    help="Hyperparameter sweeps and paired ablations that are recorded, stoppable and continuable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of a piece of work: before the runs, the runs, after them.
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
    """The `sweeps` command: 0 done, 1 the sweep cannot go on, 2 something to mend, 130 interrupted."""
    logging.captureWarnings(True)  # a library's warning is no news to the person at the keyboard
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # schedulers of clusters say Ctrl-C this way
    try:
        code = _command()
    except KeyboardInterrupt:  # one more, while the first was dealt with
        code = exit_codes.INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is written: a late Ctrl-C must not change the exit code
    sys.exit(code)


def _command() -> int:
    """Do what was typed; its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except SweepError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues\n")
        return exit_codes.INTERRUPTED
    return 0


if __name__ == "__main__":
    main()
