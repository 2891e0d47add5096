"""Options and arguments that several commands share, and the time at which the command was typed."""

import time
from pathlib import Path
from typing import Annotated

import typer

BEGAN = time.monotonic()

Storage = Annotated[
    str,
    typer.Option("--storage", metavar="URL", help="URL of the database: sqlite:///PATH or postgresql+psycopg://..."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster to join: auto, HOST:PORT or ray://HOST:PORT. Default: start Ray here."),
]
Local = Annotated[bool, typer.Option("--local", help="Train in this process, without Ray; for debugging.")]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        "--checkpoints",
        metavar="FOLDER",
        help="Folder of the checkpoints: a path that all nodes share, or s3://... Default: beside the database.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Space = Annotated[
    str, typer.Argument(metavar="SPACE", help="Name of a shipped space (finetune, ...) or path of a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="Set a field of the recipe; a searched field is then fixed. Repeatable."
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the sweep or ablation.")]
Folder = Annotated[
    Path | None, typer.Option("--to", metavar="FOLDER", help="Folder to write to. Default: reports/NAME.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until another driver of it ends, instead of failing.")]
AcceptChanges = Annotated[
    bool,
    typer.Option(
        "--accept-changes",
        help="Continue although your code, the data or torch has changed since; every report then says so.",
    ),
]
Listeners = Annotated[
    list[str] | None,
    typer.Option("--listener", metavar="MODULE:CLASS", help="Listener class that follows the sweep. Repeatable."),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Continue when the first runs have all failed with the same error.")
]
